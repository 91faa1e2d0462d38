"""A dataset as one .npz file, which any machine can read without TensorFlow.

    python -m benchmarks.image_file cifar10 cifar10.npz

Images `(n, h, w, 3)` uint8 and labels `(n,)`, of training (the last are for validation) and of test.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from attention_keras.commands.command_line import exit_code


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.image_file", description=__doc__.splitlines()[0])
    parser.add_argument("dataset", help="cifar10, cifar100 or svhn, as train takes it")
    parser.add_argument("file", type=Path, help="the .npz file that is written")
    parser.add_argument("--data-dir", help="where TensorFlow Datasets keeps prepared data")
    options = parser.parse_args()
    # Here alone: the machine that reads the file may have no TensorFlow.
    from attention_keras.data.datasets import load_dataset

    dataset = load_dataset(options.dataset, data_dir=options.data_dir)
    train, held, test = dataset.train, dataset.validation, dataset.test()
    arrays = {
        "images": np.concatenate([train.images[:], held.images[:]]),
        "labels": np.concatenate([train.labels, held.labels]),
        "test_images": np.asarray(test.images[:]),
        "test_labels": np.asarray(test.labels),
    }
    np.savez_compressed(options.file, name=options.dataset, **arrays)
    print(f"{len(arrays['images']):,} training and {len(test):,} test images in {options.file}")


if __name__ == "__main__":
    sys.exit(exit_code(main))
