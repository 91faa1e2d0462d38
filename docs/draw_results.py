"""Draws the charts of results.md from results-seeds.csv: docs/images/error-by-size.svg and from-scratch.svg.

    python docs/draw_results.py

Each row of the file is one number of one seed. `benchmarks.heads --record` adds those of its heads; the
networks from scratch are written down from `benchmarks.jax_training`.
"""

from pathlib import Path

import matplotlib
import pandas as pd

from attention_keras.drawing.charts import SERIES, new_figure

DOCS = Path(__file__).parent
SHARES = {"objects at 1/4": 1 / 4, "objects at 1/3": 1 / 3, "photographs, 320 px": 1}
HEADS = {
    "probe (logistic regression)": "#7f7f7f",
    "uniform attention and probe": SERIES[5],
    "one learned query and probe": SERIES[4],
    "**class attention and probe**": SERIES[0],
}
KINDS = {"learnt attention": SERIES[0], "uniform attention": SERIES[5], "no attention": "#7f7f7f"}


def seeds() -> pd.DataFrame:
    """`set, row, measure, seed, value`."""
    return pd.read_csv(DOCS / "results-seeds.csv")


def draw_error_by_size() -> None:
    """Mean test error and its standard error over the seeds."""
    figure = new_figure(7, 3.6)
    axes = figure.subplots()
    rows = seeds().query("measure == 'test error'")
    for name, colour in HEADS.items():
        found = rows[rows.row == name].groupby("set").value.agg(["mean", "sem"]).loc[list(SHARES)]
        style = {"marker": "o", "capsize": 3, "color": colour, "label": name.strip("*")}
        style["linestyle"] = ":" if "uniform" in name else "-"  # it lies on the probe's
        axes.errorbar(list(SHARES.values()), found["mean"], found["sem"], **style)
    axes.set(xscale="log", xlabel="side of the object, as a share of the image's", ylabel="test error, %")
    axes.set_xticks(list(SHARES.values()), ["1/4", "1/3", "1\n(photographs)"])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    save(figure, "error-by-size")


def draw_from_scratch() -> None:
    """Test error of each network at full width, a point for each seed."""
    figure = new_figure(9, 3.4)
    for axes, name in zip(figure.subplots(1, 2), ("CIFAR-10, full width", "CIFAR-100, full width")):
        rows = seeds().query("set == @name")
        means = rows.groupby("row").value.mean().sort_values(ascending=False)
        for place, network in enumerate(means.index):
            plain = not network.startswith("vgg-att")
            kind = (
                "no attention" if plain else "uniform attention" if "mean" in network else "learnt attention"
            )
            values = rows[rows.row == network].value
            axes.plot(values, [place] * len(values), "o", color=KINDS[kind])
        axes.set_yticks(range(len(means)), means.index, fontsize=8)
        axes.set(title=name, xlabel="test error, %")
        axes.grid(axis="x", alpha=0.3)
    for kind, colour in KINDS.items():
        axes.plot([], [], "o", color=colour, label=kind)
    axes.legend(fontsize=8)
    save(figure, "from-scratch")


def save(figure, name: str) -> None:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(DOCS / "images" / f"{name}.svg", metadata={"Date": None})


if __name__ == "__main__":
    matplotlib.rcParams["svg.hashsalt"] = "results"  # the same names within the file each time
    draw_error_by_size()
    draw_from_scratch()
