"""SIGTERM and Ctrl-C, for what does not end at once when it is told to."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

SIGNAL_EXIT_BASE = 128
"""A process that a signal has ended has this exit code and the signal's number more, as shells say it."""


@contextmanager
def signals_handled_by(handler: Callable[[int, Any], None]) -> Iterator[dict[int, Any]]:
    """Inside, SIGTERM and Ctrl-C go to `handler`; what handled them before comes out, and is back afterwards.

    Example:
        >>> found = []
        >>> with signals_handled_by(lambda number, frame: found.append(signal.Signals(number).name)):
        ...     signal.raise_signal(signal.SIGINT)
        >>> found
        ['SIGINT']
    """
    numbers = (signal.SIGTERM, signal.SIGINT)
    earlier: dict[int, Any] = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield earlier
    finally:
        for number, before in earlier.items():
            signal.signal(number, before)
