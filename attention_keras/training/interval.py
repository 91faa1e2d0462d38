"""How often something is done: after so many steps, or after so much time."""

import re
from dataclasses import dataclass

from attention_keras.errors import UserError


@dataclass(frozen=True)
class Interval:
    """Either `steps` or `seconds`; the other one is None.

    Example:
        >>> Interval.parse(500), Interval.parse("2.5min").seconds
        (Interval(steps=500, seconds=None), 150.0)
    """

    steps: int | None = None
    seconds: float | None = None

    @classmethod
    def parse(cls, text: int | str) -> "Interval":
        """From a number of steps, or a number of minutes followed by `min`.

        Raises:
            UserError: it is neither, or zero.
        """
        match = re.fullmatch(r"(?P<steps>[0-9]{1,12})|(?P<minutes>[0-9]{1,6}(\.[0-9]{1,6})?) ?min", str(text))
        if match and match["steps"] and int(match["steps"]):
            return cls(steps=int(match["steps"]))
        if match and match["minutes"] and float(match["minutes"]):
            return cls(seconds=60 * float(match["minutes"]))
        raise UserError(
            f"checkpoint_every must be steps, such as 500, or minutes, such as 10min; got {text!r}"
        )
