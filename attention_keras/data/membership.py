"""Which images of a table are held out, decided by the content of each file, or by the name of its group.

So an image stays where it is when others are added or removed, when it is renamed or its class is, and when
the folder moves; and two copies of one image, or all images of a group, are always on the same side. Each
class is held out in its share. Where a class is so small that its share would be nobody, or leave nobody, one
image at least is held out and one left, as far as the images go; only such a class may see an image change
sides when others are added.
"""

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from attention_keras.data.labels import members

TEST_FRACTION = 0.2


def content_digests(files: Iterable[Path]) -> np.ndarray:
    """64 bits `(n,)` that stand for the content of each file; 0 for one that cannot be read.

    Whoever needs the pixels of such a file says so.
    """
    with ThreadPoolExecutor() as threads:
        return np.fromiter(threads.map(_digest_or_zero, files), "uint64")


def _digest_or_zero(file: Path) -> int:
    try:
        with open(file, "rb") as stream:
            found = hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=8))
    except OSError:
        return 0
    return int.from_bytes(found.digest(), "big")


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
    distinct, unit_of = np.unique(units, return_inverse=True)
    draws = np.array([_draw(unit, purpose) for unit in distinct.tolist()])[unit_of]
    chosen = []
    for of_class in members(labels):
        drawn = np.unique(draws[of_class])
        most = max(0, len(drawn) - spared)
        below = int(np.searchsorted(drawn, fraction))
        chosen.append(drawn[: min(max(below, 1), most)])
    return np.isin(draws, np.concatenate([np.empty(0), *chosen]))


def _draw(unit: int, purpose: str) -> float:
    """A number in [0, 1) that depends on both: different purposes choose independently of each other."""
    found = hashlib.blake2b(unit.to_bytes(8, "big"), digest_size=8, key=purpose.encode()[:64])
    return int.from_bytes(found.digest(), "big") / 2**64


def cut_by_class(labels: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers to keep and to hold out, ascending, for images that are no files: drawn from `seed`.

    `round(n * fraction)` rows are held out, at least one, the same share of every class.
    """
    count = len(labels)
    shuffled = np.random.default_rng(seed).permutation(count)
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    sizes = np.bincount(labels[by_class])
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    number = np.arange(count) - starts[labels[by_class]]
    quantile = (number + 0.5) / sizes[labels[by_class]]
    held = by_class[np.argsort(quantile, kind="stable")][: max(1, round(count * fraction))]
    is_held = np.zeros(count, bool)
    is_held[held] = True
    return np.flatnonzero(~is_held), np.flatnonzero(is_held)
