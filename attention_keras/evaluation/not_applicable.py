"""A task that has nothing to do here."""

from attention_keras.errors import UserError


class NotApplicable(UserError):
    """The task has nothing to do on these runs or data; `--task all` goes on with the next one."""
