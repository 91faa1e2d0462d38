"""In which order contestants are measured."""

from collections.abc import Iterator
from typing import TypeVar

Contestant = TypeVar("Contestant")


def in_turns(contestants: list[Contestant], rounds: int) -> Iterator[Contestant]:
    """Each contestant once a round, first equally often, so that a busy machine slows all alike.

    Example:
        >>> "".join(in_turns(["a", "b", "c"], rounds=2))
        'abcbca'
    """
    for turn in range(rounds):
        first = turn % len(contestants)
        yield from contestants[first:] + contestants[:first]
