"""What a run knows of each image file, and whether the files have changed since. It imports no framework."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple


class FileRecord(NamedTuple):
    """What a run keeps of a file: digest of its content, name of its class, and its role."""

    digest: str
    label: str
    role: str


@dataclass(frozen=True)
class Changes:
    """How the files of a folder differ from those of an earlier time: numbers of files."""

    new: int
    gone: int
    changed: int

    @classmethod
    def between(cls, before: Mapping[str, Any], now: Mapping[str, Any]) -> "Changes":
        """From what was known of each file by its path, and what is."""
        both = before.keys() & now.keys()
        changed = sum(before[name] != now[name] for name in both)
        return cls(len(now) - len(both), len(before) - len(both), changed)

    def __bool__(self) -> bool:
        return bool(self.new or self.gone or self.changed)

    def __str__(self) -> str:
        parts = [(self.new, "new"), (self.gone, "gone"), (self.changed, "changed")]
        return ", ".join(f"{count:,} {word}" for count, word in parts if count) or "unchanged"
