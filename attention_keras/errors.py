"""The one exception that means: the user asked for something that cannot be done."""


class UserError(Exception):
    """A mistake in what was asked for, told in one line.

    The message says what was wrong, what is allowed and, where it helps, what to type.
    Command-line entry points print it on stderr without a traceback and exit with code 2;
    every other exception is a bug and keeps its traceback.
    """
