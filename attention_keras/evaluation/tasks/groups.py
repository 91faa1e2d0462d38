"""Error by group: of a table with patients, places or films, and the worst of them."""

from typing import Any

import numpy as np

from attention_keras.data.split import Split
from attention_keras.evaluation.report.table import Cell, decimal, integer, text

GROUPS = [
    text("run"),
    integer("groups"),
    *map(decimal, ("mean error of a group", "standard error")),
    text("worst groups: error, images"),
]
WORST = 5


def errors_by_group(test: Split, wrong: np.ndarray) -> dict[str, Any]:
    """The mean over groups of their error, and each group's; nothing of images without groups.

    `wrong` `(n,)` is the error of each image. Groups count alike, however many images they have: those of one
    group are no independent tries.
    """
    if test.groups is None or not any(test.groups):
        return {}
    names, group = np.unique(test.groups, return_inverse=True)
    counts = np.bincount(group)
    errors = np.bincount(group, weights=np.asarray(wrong, "float64")) / counts
    of_named = names != ""
    names, counts, errors = names[of_named], counts[of_named], errors[of_named]
    order = np.lexsort((-counts, -errors))
    deviation = errors.std(ddof=1) / np.sqrt(len(errors)) if len(errors) > 1 else float("nan")
    each = [{"group": str(names[i]), "error": float(errors[i]), "images": int(counts[i])} for i in order]
    return {"mean": float(errors.mean()), "standard error": float(deviation), "each, worst first": each}


def group_row(run: str, found: dict[str, Any]) -> list[Cell]:
    """A row of the table `GROUPS`."""
    each = found["each, worst first"]
    worst = ", ".join(f"{one['group']} {one['error']:.3g}, {one['images']}" for one in each[:WORST])
    return [run, len(each), found["mean"], found["standard error"], worst]
