"""A dataset as a few files that any machine can read without TensorFlow.

    python -m benchmarks.full_width.parts cifar10 FOLDER

writes `part0.npz`, `part1.npz` and so on: blocks of images as PNG mosaics, which keep every bit and take half
the space of the raw pixels, and their labels. Each part carries the digest of the whole dataset, so that a
missing part, or one of another dataset, does not go unnoticed.
"""

import argparse
import functools
import hashlib
import io
import math
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from attention_keras.commands.command_line import exit_code
from attention_keras.errors import UserError

COLUMNS, ROWS = 25, 20
BLOCK = COLUMNS * ROWS
LARGEST_PART = 56 * 2**20
SPLITS = ("train", "test")
PARTS = "part[0-9]*.npz"
_DIGEST = "digest"

Split = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Pixels:
    """Images `(n, h, w, 3)` uint8 and labels `(n,)` int32 of each split; validation images are in train."""

    train: Split
    test: Split

    @property
    def num_classes(self) -> int:
        return int(self.train[1].max()) + 1

    @functools.cached_property
    def digest(self) -> str:
        """What all images and labels come down to."""
        found = hashlib.sha256()
        for array in (*self.train, *self.test):
            found.update(str(array.shape).encode())
            found.update(np.ascontiguousarray(array))
        return found.hexdigest()[:16]


def write_parts(splits: dict[str, Split], folder: Path, largest: int = LARGEST_PART) -> list[Path]:
    """Write the splits as parts of at most about `largest` bytes each, instead of those that are there.

    Returns:
        The paths of the parts.
    """
    arrays = {
        split: (np.asarray(images, "uint8"), np.asarray(labels, "int32"))
        for split, (images, labels) in splits.items()
    }
    digest = np.array(Pixels(**arrays).digest)
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob(PARTS):
        path.unlink()
    paths: list[Path] = []
    part: dict[str, np.ndarray] = {}
    size = 0

    def finish():
        paths.append(folder / f"part{len(paths)}.npz")
        np.savez(paths[-1], **part, **{_DIGEST: digest})
        part.clear()

    for split, (images, labels) in arrays.items():
        for start in range(0, len(images), BLOCK):
            data = _png(images[start : start + BLOCK])
            if part and size + len(data) > largest:
                finish()
                size = 0
            part[f"{split}_{start:07d}"] = data
            part[f"{split}_{start:07d}_labels"] = labels[start : start + BLOCK]
            size += len(data)
    finish()
    return paths


def read_parts(folder: Path) -> Pixels:
    """What `write_parts` wrote.

    Raises:
        UserError: there are no parts, one is missing, or they are of several datasets.
    """
    blocks: dict[str, np.ndarray] = {}
    digests = set()
    for path in sorted(folder.glob(PARTS)):
        with np.load(path) as part:
            blocks |= {name: part[name] for name in part.files}
        digests.add(str(blocks.pop(_DIGEST, "of an earlier version")))
    advice = "write them again with python -m benchmarks.full_width.parts"
    if len(digests) > 1:
        raise UserError(f"{folder} has parts of {len(digests)} datasets; {advice}")
    incomplete = f"{folder} has not all parts of a dataset, or an earlier version's; {advice}"
    found = {}
    for split in SPLITS:
        names = sorted(name for name in blocks if name.startswith(f"{split}_") and name[-1].isdigit())
        starts = [int(name.split("_")[1]) for name in names]
        if not names or starts != list(range(0, BLOCK * len(names), BLOCK)):
            raise UserError(incomplete)
        labels = [blocks[f"{name}_labels"] for name in names]
        images = [_pixels(blocks[name], len(here)) for name, here in zip(names, labels, strict=True)]
        found[split] = np.concatenate(images), np.concatenate(labels).astype("int32")
    pixels = Pixels(**found)
    if pixels.digest not in digests:
        raise UserError(incomplete)
    return pixels


def _png(block: np.ndarray) -> np.ndarray:
    """A block of images `(n, h, w, 3)`, side by side in a PNG file `(bytes,)`."""
    count, height, width, _ = block.shape
    rows = math.ceil(count / COLUMNS)
    filled = np.zeros((rows * COLUMNS, height, width, 3), "uint8")
    filled[:count] = block
    mosaic = filled.reshape(rows, COLUMNS, height, width, 3).swapaxes(1, 2)
    file = io.BytesIO()
    Image.fromarray(mosaic.reshape(rows * height, COLUMNS * width, 3)).save(file, "PNG", optimize=True)
    return np.frombuffer(file.getvalue(), "uint8")


def _pixels(data: np.ndarray, count: int) -> np.ndarray:
    mosaic = np.asarray(Image.open(io.BytesIO(data.tobytes())))
    rows = math.ceil(count / COLUMNS)
    height, width = mosaic.shape[0] // rows, mosaic.shape[1] // COLUMNS
    images = mosaic.reshape(rows, height, COLUMNS, width, 3).swapaxes(1, 2)
    return images.reshape(-1, height, width, 3)[:count]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.full_width.parts", description=__doc__.splitlines()[0]
    )
    parser.add_argument("dataset", help="cifar10, cifar100 or svhn, as train takes it")
    parser.add_argument("folder", type=Path, help="where the parts go")
    parser.add_argument("--data-dir", help="where TensorFlow Datasets keeps prepared data")
    options = parser.parse_args()
    # Needed here alone: the machine that reads the parts may have no TensorFlow.
    from attention_keras.data.datasets import load_dataset

    dataset = load_dataset(options.dataset, data_dir=options.data_dir)
    held, test = dataset.validation, dataset.test()
    # The reader holds out the last images of train, so the validation split goes behind it.
    images = np.concatenate([dataset.train.images, held.images])
    labels = np.concatenate([dataset.train.labels, held.labels])
    for path in write_parts({"train": (images, labels), "test": (test.images, test.labels)}, options.folder):
        print(path, f"{path.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    sys.exit(exit_code(main))
