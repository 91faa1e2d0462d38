"""What groups do to a test error: the same images split by group, and image by image.

    python -m benchmarks.groups --backbone FILE.keras --data TABLE.csv --preprocess imagenet

The table has the columns path, label and group. The split is the package's own, with another fifth of the
groups, or of the images, for each seed; a class head is fitted to the features of a frozen backbone.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from attention_keras import load_model
from attention_keras.commands.command_line import exit_code
from attention_keras.data.membership import choose_roles
from attention_keras.data.table_file import read_table
from attention_keras.training.class_fit import fit_class_head
from benchmarks.heads import TOP, predictor, read, table

STEP = 0x9E3779B97F4A7C15  # bits that make other units of the same ones


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.groups", description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", type=Path, required=True, help="a .keras file, images to a map")
    parser.add_argument("--data", type=Path, required=True, help="a table (.csv) with a column group")
    parser.add_argument("--preprocess", default="imagenet", help="as attend() takes it; imagenet by default")
    parser.add_argument("--size", type=int, help="side of the images; the backbone's by default")
    parser.add_argument("--seeds", type=int, default=3, help="each with a split of its own")
    parser.add_argument("--cache", type=Path, default=Path("features.npy"), help="file for the features")
    options = parser.parse_args()
    size = options.size or load_model(options.backbone).input_shape[1]
    predict = predictor(options.backbone, size, options.preprocess)
    data = read(options.data, predict, size, options.cache)
    place, found = {path: row for row, path in enumerate(data.paths)}, {}
    for name, columns in (("split by group", ()), ("split image by image", ("group=",))):
        images = read_table(options.data, columns)
        rows = np.array([place[str(options.data.parent / path)] for path in images.paths])
        for seed in range(options.seeds):
            units = images.units ^ np.uint64(seed * STEP % 2**64)
            tested = choose_roles(images.roles, units, images.labels, 0.1, seed) == "test"
            train, test = rows[~tested], rows[tested]
            how = {"groups": images.units[~tested], "seed": seed}
            fitted = fit_class_head({TOP: data.features[train]}, data.labels[train], len(data.names), **how)
            wrong = fitted.logits({TOP: data.features[test]}).argmax(1) != data.labels[test]
            found.setdefault(name, []).append({"test error": 100 * float(np.mean(wrong))})
            print(f"{name}, seed {seed}: {len(test)} images, {100 * np.mean(wrong):.2f} %", file=sys.stderr)
    print(table(found, "split"))


if __name__ == "__main__":
    sys.exit(exit_code(main))
