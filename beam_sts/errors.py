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


def check_between(name: str, value: float, low: float = 0, high: float = 1) -> None:
    """Check that a number is between two bounds, both included.

    Raises:
        UserError: the number is out of bounds, or NaN. The message names the number and the bounds.

    >>> check_between("--threshold", 1.5)
    Traceback (most recent call last):
    beam_sts.errors.UserError: --threshold 1.5: must be between 0 and 1.
    """
    if not low <= value <= high:
        raise UserError(f"{name} {value}: must be between {low} and {high}.")
