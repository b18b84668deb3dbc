"""The errors a user can do something about."""


class UserError(Exception):
    """A mistake in the input, the settings or the environment.

    The message names the value, the place and the way out; the command lines print it alone, without a
    traceback, and exit with status 2.
    """


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
