"""The address of the project, defined once for messages and for package metadata.

``setup.py`` reads this file as text, so each constant is one plain assignment.
"""

REPOSITORY = ""
"""The address of the repository, without a trailing slash. Empty while there is no public repository."""


def report_it() -> str:
    """A sentence that says where to report a fault of the project."""
    where = f"at {REPOSITORY}/issues" if REPOSITORY else "to the people you have beam_sts from"
    return f"Please report it {where}, with that traceback."
