"""Error of each head against the size of the object: a chart from several sets.

    python -m benchmarks.object_size --backbone FILE.keras --size 320 --figure error_by_size.svg \
        --sets 1=photos 1/3=small_objects/third.csv 1/4=small_objects/quarter.csv

Each set is a folder or a table as `benchmarks.heads` takes them, after the share of the side that its objects
have. Features are kept beside the figure.
"""

import argparse
import sys
from fractions import Fraction
from pathlib import Path

import matplotlib
import numpy as np

from attention_keras.commands.command_line import exit_code
from benchmarks import heads

COLOURS = {
    "probe (logistic regression)": "#7f7f7f",
    "uniform attention and probe": "#9ecae1",
    "one learned query and probe": "#fd8d3c",
    "**class attention and probe**": "#08519c",
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.object_size", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--backbone", type=Path, required=True, help="a .keras file, images to a map")
    parser.add_argument("--sets", nargs="+", required=True, help="SHARE=FOLDER_OR_TABLE")
    parser.add_argument("--preprocess", default="imagenet", help="as attend() takes it; imagenet by default")
    parser.add_argument("--size", type=int, default=320, help="side of the images")
    parser.add_argument("--seeds", type=int, default=5, help="each with a split of its own")
    parser.add_argument("--figure", type=Path, required=True, help="the chart, .svg or .png")
    options = parser.parse_args()
    predict = heads.predictor(options.backbone, options.size, options.preprocess)
    found: dict[str, list[np.ndarray]] = {}
    shares = []
    for word in options.sets:
        share, _, where = word.partition("=")
        shares.append(Fraction(share))
        cache = options.figure.with_name(
            f"{options.figure.stem}_{share.replace('/', '_')}_{options.size}.npy"
        )
        data = heads.read(Path(where), predict, options.size, cache)
        seeds = [heads.errors(*data.split(seed), seed, linear=False)[0] for seed in range(options.seeds)]
        for name in COLOURS:
            found.setdefault(name, []).append(np.array([wrong[name] for wrong in seeds]))
        rows = {name: [{"test error": wrong[name]} for wrong in seeds] for name in seeds[0]}
        print(heads.table(rows, f"{share} of the side"), flush=True)
    draw([float(share) for share in shares], found, options.figure)


def draw(shares: list[float], found: dict[str, list[np.ndarray]], path: Path) -> None:
    """Mean error with its standard error over the seeds."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 3.6), layout="constrained")
    for name, errors in found.items():
        means = [values.mean() for values in errors]
        spread = [values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0 for values in errors]
        axes.errorbar(
            shares, means, spread, marker="o", capsize=3, color=COLOURS[name], label=name.strip("*")
        )
    axes.set(xscale="log", xlabel="side of the object, as a share of the image's", ylabel="test error, %")
    axes.set_xticks(shares, [str(Fraction(share).limit_denominator(10)) for share in shares], minor=False)
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    pyplot.close(figure)


if __name__ == "__main__":
    sys.exit(exit_code(main))
