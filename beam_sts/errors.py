"""The errors a user can do something about."""

from beam_sts.secrets import hide_secrets


class UserError(Exception):
    r"""A mistake in the input, the settings or the environment.

    The message names the value, the place and the way out; the command lines print it alone, without a
    traceback, and exit with status 2. Each argument is one line of it: a line break in a name stays in its
    line, and no secret is shown.

    >>> print(UserError("a\nb.csv: cannot be read."))
    a\nb.csv: cannot be read.
    """

    def __str__(self) -> str:
        return "\n".join(
            hide_secrets(str(line)).replace("\r", "\\r").replace("\n", "\\n") for line in self.args
        )


def check_between(name: str, value: float, low: float = 0, high: float = 1) -> None:
    """See that a number lies between two others, or is one of them.

    Raises:
        UserError: naming all three; also where it is no number.

    >>> check_between("--threshold", 1.5)
    Traceback (most recent call last):
    beam_sts.errors.UserError: --threshold 1.5: must be between 0 and 1.
    """
    if not low <= value <= high:
        raise UserError(f"{name} {value}: must be between {low} and {high}.")
