"""The one exception that means: the user asked for something that cannot be done."""


class UserError(ValueError):
    """A mistake in what was asked for, told in one line.

    The message says what was wrong, what is allowed and, if it helps, what to type.
    Commands print it on stderr without a traceback and exit with code 2; every other exception is a bug
    and keeps its traceback.
    """


class NotApplicable(UserError):
    """An evaluation task has nothing to do on these runs or data; `all` goes on with the next task."""
