"""Mean and spread of one number over runs, as a cell of a table."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation (n - 1; None for a single value) of one number over seeds."""

    mean: float
    deviation: float | None
    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """The spread of at least one value.

        Example:
            >>> Spread.of([10.0, 11.0, 12.0]).text(1)
            '11.0 ± 1.0'
        """
        deviation = statistics.stdev(values) if len(values) > 1 else None
        return cls(statistics.fmean(values), deviation, tuple(values))

    def text(self, digits: int) -> str:
        """`mean ± deviation`, both with so many decimals; the mean alone for a single value."""
        mean = f"{self.mean:.{digits}f}"
        return mean if self.deviation is None else f"{mean} ± {self.deviation:.{digits}f}"
