"""The errors a user can do something about."""


class UserError(Exception):
    """A mistake in the input, the settings or the environment.

    The message names the value, the place and the way out; the command lines print it alone, without a
    traceback, and exit with status 2.
    """
