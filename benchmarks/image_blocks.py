"""A dataset as a folder of PNG files and one file of labels, which any machine can read without TensorFlow.

    python -m benchmarks.image_blocks cifar10 FOLDER

Each PNG is a column of 500 images: it keeps every bit and takes half the space of the raw pixels.
"""

import argparse
import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from attention_keras.commands.command_line import exit_code
from attention_keras.errors import UserError

BLOCK = 500
LABELS = "labels.npz"
SPLITS = ("train", "test")


@dataclass(frozen=True)
class Images:
    """Images `(n, h, w, 3)` uint8 and labels `(n,)`; validation images are the last of train."""

    name: str
    train: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]

    @property
    def digest(self) -> str:
        arrays = [np.ascontiguousarray(array) for split in SPLITS for array in getattr(self, split)]
        return hashlib.sha256(b"".join(map(bytes, arrays))).hexdigest()[:16]


def write(data: Images, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for split in SPLITS:
        images, _ = getattr(data, split)
        for start in range(0, len(images), BLOCK):
            column = images[start : start + BLOCK].reshape(-1, *images.shape[2:])
            Image.fromarray(column).save(folder / f"{split}{start:07d}.png")
    labels = {split: getattr(data, split)[1] for split in SPLITS}
    np.savez(folder / LABELS, name=data.name, digest=data.digest, **labels)


def read(folder: Path) -> Images:
    if not (folder / LABELS).exists():
        raise UserError(f"{folder} has no {LABELS}; write it with python -m benchmarks.image_blocks")
    with np.load(folder / LABELS) as file:
        about, splits = dict(file), {}
    for split in SPLITS:
        labels, files = about[split].astype("int32"), sorted(folder.glob(f"{split}*.png"))
        column = np.concatenate([np.asarray(Image.open(file)) for file in files])
        splits[split] = column.reshape(-1, column.shape[1], *column.shape[1:]), labels
    data = Images(str(about["name"]), **splits)
    if data.digest != str(about["digest"]):
        raise UserError(f"{folder} is not whole or has images of another dataset; write it again")
    return data


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.image_blocks", description=__doc__.splitlines()[0]
    )
    parser.add_argument("dataset", help="cifar10, cifar100 or svhn, as train takes it")
    parser.add_argument("folder", type=Path, help="where the files go")
    parser.add_argument("--data-dir", help="where TensorFlow Datasets keeps prepared data")
    options = parser.parse_args(words)
    # Here alone: the machine that reads the files may have no TensorFlow.
    from attention_keras.data.datasets import load_dataset

    dataset = load_dataset(options.dataset, data_dir=options.data_dir)
    held, test = dataset.validation, dataset.test()
    images = np.concatenate([dataset.train.images[:], held.images[:]])
    labels = np.concatenate([dataset.train.labels, held.labels])
    data = Images(options.dataset, (images, labels), (np.asarray(test.images[:]), np.asarray(test.labels)))
    write(data, options.folder)
    print(f"{len(images):,} training and {len(data.test[0]):,} test images in {options.folder}")


if __name__ == "__main__":
    sys.exit(exit_code(main))
