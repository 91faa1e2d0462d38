"""Which images of a table are held out, decided by the content of each file, or by the name of its group.

So an image stays where it is when others are added or removed, when it is renamed or its class is, and when
the folder moves; and two copies of one image, or all images of a group, are always on the same side. Each
class is held out in its share. Of a class so small that its share would be nobody, or leave nobody, one image
at least is held out and one left; only such a class may see an image change sides when others are added.

A run keeps a `FileRecord` of each file. This module imports no framework.
"""

import hashlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from attention_keras.data.labels import members

TEST_FRACTION = 0.2


def content_digests(files: Iterable[Path]) -> np.ndarray:
    """64 bits `(n,)` that stand for the content of each file; 0 for one that cannot be read."""

    def digest(file: Path) -> int:
        try:
            with open(file, "rb") as stream:
                found = hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=8))
        except (OSError, ValueError):  # ValueError of a path with a zero byte
            return 0
        return int.from_bytes(found.digest(), "big")

    with ThreadPoolExecutor() as threads:
        return np.fromiter(threads.map(digest, files), "uint64")


def text_digest(text: str) -> int:
    """64 bits that stand for a text."""
    found = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8)
    return int.from_bytes(found.digest(), "big")


def choose_roles(
    given: np.ndarray, units: np.ndarray, labels: np.ndarray, validation_fraction: float, seed: int
) -> np.ndarray:
    """The role of each image, `train`, `validation` or `test`.

    Roles that nobody has in `given` `(n,)` are cut from train: a fifth for `test`, the same one for every
    seed, and `validation_fraction` of what is left. Images of the same unit `(n,)` uint64 stay together.
    """
    roles = np.array(given, object)
    cuts = [("test", TEST_FRACTION, "test"), ("validation", validation_fraction, f"validation {seed}")]
    missing = [cut for cut in cuts if cut[0] not in given]
    for number, (role, fraction, purpose) in enumerate(missing):
        rows = np.flatnonzero(roles == "train")
        held = _held_out(units[rows], labels[rows], fraction, purpose, spared=len(missing) - number)
        roles[rows[held]] = role
    return roles


def _held_out(
    units: np.ndarray, labels: np.ndarray, fraction: float, purpose: str, spared: int
) -> np.ndarray:
    """Images `(n,)` bool whose unit draws a number below the share; so many units of a class are spared."""

    def draw(unit: int) -> float:
        """A number in [0, 1) that depends on both: different purposes choose independently of each other."""
        found = hashlib.blake2b(unit.to_bytes(8, "big"), digest_size=8, key=purpose.encode()[:64])
        return int.from_bytes(found.digest(), "big") / 2**64

    distinct, unit_of = np.unique(units, return_inverse=True)
    draws = np.array([draw(unit) for unit in distinct.tolist()])[unit_of]
    chosen = []
    for of_class in members(labels):
        drawn = np.unique(draws[of_class])
        most = max(0, len(drawn) - spared)
        below = int(np.searchsorted(drawn, fraction))
        chosen.append(drawn[: min(max(below, 1), most)])
    return np.isin(draws, np.concatenate([np.empty(0), *chosen]))


def cut_by_class(labels: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers to keep and to hold out, ascending, of images that are no files: a share of every class."""
    count = len(labels)
    shuffled = np.random.default_rng(seed).permutation(count)
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    sizes = np.bincount(labels[by_class])
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    quantile = (np.arange(count) - starts[labels[by_class]] + 0.5) / sizes[labels[by_class]]
    held = np.sort(by_class[np.argsort(quantile, kind="stable")][: max(1, round(count * fraction))])
    return np.setdiff1d(np.arange(count), held), held


class FileRecord(NamedTuple):
    """What a run keeps of a file: digest of its content, name of its class, and its role."""

    digest: str
    label: str
    role: str


class Changes(NamedTuple):
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
        return any(self)

    def __str__(self) -> str:
        parts = zip(self, ("new", "gone", "changed"))
        return ", ".join(f"{count:,} {word}" for count, word in parts if count) or "unchanged"
