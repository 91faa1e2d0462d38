"""The embedded dataset: real handwritten digits in cluttered scenes, with the digit's mask and box.

Made in seconds from scikit-learn's `load_digits` (1,797 scans of 8x8), without a download. No linear
classifier solves it, and "does attention find the object?" has an exact answer.
"""

from collections.abc import Callable
from functools import cache

import numpy as np

from attention_keras.data.split import Split
from attention_keras.errors import needs

SIDE = 32
CLASS_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SCENES = {"train": 6000, "validation": 1000, "test": 2000}
DIGIT_SIZES = range(16, 25)
PIECE_SIZES = range(5, 8)
PIECES_PER_SCENE = (4, 7)
MASK_THRESHOLD = 0.4
_BLOCK = 250  # scenes drawn at once; the first n scenes need only the first blocks

# Shares of the source scans per split: a scan, with every scene and clutter piece cut from it, is in one.
_SOURCE_SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}


@cache
def source_digits(split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scans `(m, 8, 8)` in [0, 1] for scenes of `split`, their labels and rows in load_digits `(m,)`."""
    with needs("cluttered_digits", extra="train"):
        from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    ends = np.round(np.cumsum(list(_SOURCE_SHARES.values())) * len(order)).astype(int)
    rows = np.split(order, ends[:-1])[list(_SOURCE_SHARES).index(split)]
    return digits.images[rows].astype("float32") / 16, digits.target[rows].astype("int32"), rows


def generate_scenes(split: str, count: int) -> Split:
    """Draw `count` scenes of 32x32 pixels, with masks (the digit's ink) and boxes (tight around the mask).

    A scene is dark, tinted, noisy ground; 4 to 7 bright pieces cut from other digits of the split; and one
    bright digit of 16 to 24 pixels on top, at a random position. Scene i depends on `(split, i)` alone.
    """
    blocks = [_draw_block(split, block) for block in range(-(-count // _BLOCK))]
    return Split(*(np.concatenate(column)[:count] for column in zip(*blocks)))


def _draw_block(split: str, block: int) -> tuple[np.ndarray, ...]:
    scans, labels, _ = source_digits(split)
    rng = np.random.default_rng([0, list(SCENES).index(split), block])
    chosen = rng.integers(len(labels), size=_BLOCK)
    # Dark, tinted ground with coarse blotches.
    tint = rng.uniform(0, 70, (_BLOCK, 1, 1, 3))
    blotches = rng.normal(0, 10, (_BLOCK, SIDE // 4, SIDE // 4, 1)).repeat(4, axis=1).repeat(4, axis=2)
    canvas = (tint + blotches).astype("float32")
    fewest, most = PIECES_PER_SCENE
    pieces = rng.integers(fewest, most + 1, _BLOCK)
    for slot in range(most):
        scenes = np.flatnonzero(pieces > slot)
        _paint(rng, canvas, _pieces(rng, scans, len(scenes)), scenes)
    sizes = rng.integers(DIGIT_SIZES.start, DIGIT_SIZES.stop, _BLOCK)
    ink = _placed(rng, sizes, lambda rows, size: _enlarge(scans[chosen[rows]], size))
    _paint(rng, canvas, ink, np.arange(_BLOCK))
    canvas += rng.normal(0, 8, canvas.shape).astype("float32")
    masks = ink > MASK_THRESHOLD
    images = np.clip(np.rint(canvas), 0, 255).astype("uint8")
    return images, labels[chosen], masks, _tight_boxes(masks)


def _pieces(rng: np.random.Generator, scans: np.ndarray, count: int) -> np.ndarray:
    """Ink `(count, h, w)` of one square piece per scene, cut from the middle of an enlarged digit."""
    enlarged = 20
    sizes = rng.integers(PIECE_SIZES.start, PIECE_SIZES.stop, count)
    donors = rng.integers(len(scans), size=count)
    cuts = rng.integers(2, enlarged - 1 - sizes[:, None], (count, 2))

    def cut(rows: np.ndarray, size: int) -> np.ndarray:
        return _enlarge(scans[donors[rows]], enlarged)[_windows(np.arange(len(rows)), cuts[rows], size)]

    return _placed(rng, sizes, cut)


def _placed(rng: np.random.Generator, sizes: np.ndarray, draw: Callable[[np.ndarray, int], np.ndarray]):
    """Ink `(m, h, w)` in [0, 1]: squares of these sizes `(m,)` somewhere, which `draw` fills."""
    corners = rng.integers(0, SIDE - sizes[:, None] + 1, (len(sizes), 2))
    ink = np.zeros((len(sizes), SIDE, SIDE), "float32")
    for size in np.unique(sizes):
        rows = np.flatnonzero(sizes == size)
        ink[_windows(rows, corners[rows], size)] = draw(rows, size)
    return ink


def _enlarge(scans: np.ndarray, size: int) -> np.ndarray:
    """Scans `(m, 8, 8)` to ink `(m, size, size)`: bilinear in each direction, then with firmer edges."""
    centres = np.clip((np.arange(size) + 0.5) * 8 / size - 0.5, 0, 7)
    weights = np.maximum(0, 1 - np.abs(centres[:, None] - np.arange(8))).astype("float32")
    return np.clip(1.8 * (weights @ scans @ weights.T) - 0.4, 0, 1)


def _windows(rows: np.ndarray, corners: np.ndarray, size: int) -> tuple[np.ndarray, ...]:
    """Index of a `size` x `size` window at `corners` `(m, 2)` of image `rows` `(m,)`."""
    along = np.arange(size)
    return rows[:, None, None], corners[:, 0, None, None] + along[:, None], corners[:, 1, None, None] + along


def _paint(rng: np.random.Generator, canvas: np.ndarray, ink: np.ndarray, scenes: np.ndarray) -> None:
    """Lay ink `(m, h, w)` of a bright colour each over the scenes, where ink is opaque at 1."""
    colours = rng.uniform(140, 255, (len(scenes), 3)).astype("float32")
    canvas[scenes] += ink[..., None] * (colours[:, None, None] - canvas[scenes])


def _tight_boxes(masks: np.ndarray) -> np.ndarray:
    """Boxes `(n, 4)` around the true pixels of masks `(n, h, w)`, which must have some."""
    rows, columns = masks.any(axis=2), masks.any(axis=1)
    first = [rows.argmax(axis=1), columns.argmax(axis=1)]
    last = [SIDE - rows[:, ::-1].argmax(axis=1), SIDE - columns[:, ::-1].argmax(axis=1)]
    return np.stack(first + last, axis=1).astype("float32")
