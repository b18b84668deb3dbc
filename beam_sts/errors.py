"""Errors that the user can fix."""

from beam_sts.secrets import hide_secrets


class UserError(Exception):
    r"""A mistake in the input, the settings or the environment.

    The message names the value, the place and the way out. A command prints the message without a traceback
    and exits with status 2. Each argument is one line of the message: line breaks within an argument are
    escaped, and secrets are hidden.

    >>> print(UserError("a\nb.csv: cannot be read."))
    a\nb.csv: cannot be read.
    """

    def __str__(self) -> str:
        return "\n".join(
            hide_secrets(str(line)).replace("\r", "\\r").replace("\n", "\\n") for line in self.args
        )
