"""Where the project is found: the one place that says so, for messages and for the package's metadata.

``setup.py`` reads it as text, so each constant is one plain assignment.
"""

REPOSITORY = ""
"""The address of the repository, without a slash at its end; empty as long as there is no public one."""


def report_it() -> str:
    """Where to report a fault of the project, as a sentence."""
    where = f"at {REPOSITORY}/issues" if REPOSITORY else "to the people you have beam_sts from"
    return f"Please report it {where}, with that traceback."
