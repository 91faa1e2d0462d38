"""Which files of a folder are held out, decided by the content of each file alone.

So a picture stays where it is when others are added or removed, when it is renamed or its class is, and when
the folder moves; and two copies of one picture are always on the same side.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_PART = 1 << 16


def content_digest(file: Path) -> int:
    """64 bits that stand for the content: its length, its first and its last 64 KiB.

    Raises:
        OSError: the file cannot be read.
    """
    with file.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(0)
        content = stream.read(_PART)
        stream.seek(max(0, size - _PART))
        content += stream.read(_PART)
    found = hashlib.blake2b(content, digest_size=8, salt=size.to_bytes(16, "big"))
    return int.from_bytes(found.digest(), "big")


def held_out(digests: np.ndarray, fraction: float, purpose: str) -> np.ndarray:
    """The images that a purpose sets aside.

    Args:
        digests: `(n,)` uint64, of the images' files.
        fraction: share of all images there are, in (0, 1); of a few, more or less are found.
        purpose: such as `test`; different purposes choose independently of each other.

    Returns:
        `(n,)` bool; at least one image is true where n is above 0.

    Example:
        >>> chosen = held_out(np.arange(10_000, dtype="uint64"), 0.2, "test")
        >>> 0.19 < float(chosen.mean()) < 0.21
        True
    """
    places = np.array([_place(int(digest), purpose) for digest in digests.tolist()], "float64")
    chosen = places < fraction
    if len(places) and not chosen.any():
        chosen[places.argmin()] = True
    return chosen


def _place(digest: int, purpose: str) -> float:
    """A number in [0, 1) that depends on both."""
    found = hashlib.blake2b(digest.to_bytes(8, "big"), digest_size=8, key=purpose.encode()[:64])
    return int.from_bytes(found.digest(), "big") / 2**64


@dataclass(frozen=True)
class Changes:
    """How the files of a folder differ from those of an earlier time: numbers of files."""

    new: int
    gone: int
    changed: int

    @classmethod
    def between(cls, before: Mapping[str, str], now: Mapping[str, str]) -> "Changes":
        """From the digests by relative name, then and now.

        Example:
            >>> Changes.between({"a/1.png": "05", "a/2.png": "0f"}, {"a/1.png": "06", "b/3.png": "0f"})
            Changes(new=1, gone=1, changed=1)
        """
        both = before.keys() & now.keys()
        changed = sum(before[name] != now[name] for name in both)
        return cls(len(now) - len(both), len(before) - len(both), changed)

    def __bool__(self) -> bool:
        return bool(self.new or self.gone or self.changed)

    def __str__(self) -> str:
        parts = [(self.new, "new"), (self.gone, "gone"), (self.changed, "changed")]
        return ", ".join(f"{count:,} {word}" for count, word in parts if count) or "unchanged"
