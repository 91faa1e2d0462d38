"""Does the map for a class point at the image of that class? Four images in one, no masks needed."""

from dataclasses import dataclass

import numpy as np

from attention_keras.drawing.maps import upsample

QUARTERS = 4
CHANCE = 1 / QUARTERS


@dataclass(frozen=True, eq=False)
class Mosaics:
    """Images of 2 x 2 smaller ones.

    Attributes:
        images: `(m, H, W, 3)` float32.
        classes: `(m, 4)`, all different in each mosaic: top left, top right, bottom left, bottom right.
    """

    images: np.ndarray
    classes: np.ndarray


def make_mosaics(images: np.ndarray, labels: np.ndarray, count: int, seed: int = 0) -> Mosaics:
    """Mosaics of four images of different classes, each shrunk to a quarter (mean of 2 x 2 pixels).

    Args:
        images: `(n, H, W, 3)`, H and W at least 2; an odd last row or column is left out.
        labels: `(n,)`, of at least four classes.
        count: m.
        seed: fixes which images come together.

    Returns:
        m mosaics at the size of the images.

    Raises:
        ValueError: there are fewer than four classes.
    """
    groups = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    if len(groups) < QUARTERS:
        raise ValueError(f"a mosaic needs images of {QUARTERS} classes; got {len(groups)}")
    generator = np.random.default_rng(seed)
    rows = np.array([
        [generator.choice(groups[group]) for group in generator.choice(len(groups), QUARTERS, replace=False)]
        for _ in range(count)
    ])  # fmt: skip
    count, height, width = len(rows), *images.shape[1:3]
    halves = (height // 2, width // 2)
    even = np.asarray(images[rows.ravel()][:, : 2 * halves[0], : 2 * halves[1]], "float32")
    small = even.reshape(count, QUARTERS, halves[0], 2, halves[1], 2, 3).mean(axis=(3, 5))
    top, bottom = (np.concatenate([small[:, left], small[:, left + 1]], axis=2) for left in (0, 2))
    mosaic = np.concatenate([top, bottom], axis=1)
    # What an odd side has left over repeats the last pixel.
    mosaic = np.pad(mosaic, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return Mosaics(mosaic, labels[rows])


def own_quarter(maps: np.ndarray, quarters: np.ndarray) -> np.ndarray:
    """Share of each map that lies in the quarter of the class that was asked about.

    Only what speaks for the class counts, values above 0. `CHANCE` for a map that does not depend on the
    class, in the mean over the four classes of a mosaic.

    Args:
        maps: `(n, h, w)`.
        quarters: `(n,)` from 0 to 3, as in `Mosaics`.

    Returns:
        `(n,)` in [0, 1]; `CHANCE` where nothing speaks for the class, NaN where a value is not finite.

    Example:
        >>> own_quarter(np.array([[[3.0, 1.0], [0.0, -5.0]]]), np.array([0])).tolist()
        [0.75]
    """
    shares = []
    for level, quarter in zip(np.maximum(maps, 0), quarters):
        # Cells that lie across the middle belong to both halves.
        height, width = (side if side % 2 == 0 else 2 * side for side in level.shape)
        large = upsample(level, (height, width), "nearest")
        row, column = divmod(int(quarter), 2)
        part = large[row * height // 2 :][: height // 2, column * width // 2 :][:, : width // 2]
        total = large.sum()
        shares.append(part.sum() / total if total > 0 else (CHANCE if total == 0 else np.nan))
    return np.array(shares)
