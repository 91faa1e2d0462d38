"""Spans of time: said in words, and read from the command line."""

import re
from dataclasses import dataclass

from attention_keras.errors import UserError


def duration(seconds: float) -> str:
    """Seconds as a person says them: `45 s`, `12 min`, `3.5 h`, `2.1 days`."""
    for unit, size, limit in (("s", 1, 90), ("min", 60, 5400), ("h", 3600, 129600)):
        if seconds < limit:
            amount = seconds / size
            return f"{amount:.1f} {unit}" if unit == "h" else f"{amount:.0f} {unit}"
    return f"{seconds / 86400:.1f} days"


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
