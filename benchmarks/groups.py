"""What groups do to a test error: the same images split by group, and image by image.

    python -m benchmarks.groups --backbone FILE.keras --data TABLE.csv --preprocess imagenet

The table has the columns path, label and group. The split is the package's own, with another fifth of the
groups, or of the images, for each seed; a class head is fitted to the features of a frozen backbone.
"""

import sys
from pathlib import Path

import numpy as np

from attention_keras.commands.command_line import exit_code
from attention_keras.data.membership import choose_roles
from attention_keras.data.table_file import read_table
from attention_keras.training.class_fit import fit_class_head
from benchmarks.heads import TOP, common_options, mean_table, network_of, read

STEP = 0x9E3779B97F4A7C15  # bits that make other units of the same ones


def main() -> None:
    parser = common_options("groups", __doc__, "a table (.csv) with a column group", seeds=3)
    parser.add_argument("--cache", type=Path, default=Path("features.npy"), help="file for the features")
    options = parser.parse_args()
    size, predict = network_of(options)
    data = read(options.data, predict, size, options.cache)
    place, found = {path: row for row, path in enumerate(data.rows.path)}, {}
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
    print(mean_table(found, "split"))


if __name__ == "__main__":
    sys.exit(exit_code(main))
