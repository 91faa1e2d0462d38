"""Attention and evidence beside post-hoc explanations: which of the maps shows what the network uses?"""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from attention_keras.drawing.charts import line_chart
from attention_keras.evaluation.explanations.kinds import RANDOM, kinds_of
from attention_keras.evaluation.options import FEW_IMAGES, FaithfulnessOptions
from attention_keras.evaluation.report.result import Figure, TaskResult
from attention_keras.evaluation.report.table import Cell, Table, decimal, integer, percent, text
from attention_keras.evaluation.subjects.subject import Subject
from attention_keras.evaluation.tasks.context import Context
from attention_keras.evaluation.tasks.map_scores import Scores, mean_rank_correlation, score_maps
from attention_keras.measures.localization import CHANCE
from attention_keras.measures.perturbation import Curves

# What is shown of each map: its name among the values, its column. The last three need masks.
_MEASURES = {
    "insertion": decimal("insertion"),
    "deletion": decimal("deletion"),
    "own_quarter": decimal("own quarter"),
    "entropy": decimal("entropy"),
    "rank_correlation_random_weights": decimal("after random weights"),
    "rank_correlation_other_class": decimal("other class"),
    "pointing_game": percent("peak on object"),
    "mass_on_object": percent("mass on object"),
    "rank_on_object": percent("rank on object"),
}
_AGREEMENT = [text("network"), text("map"), decimal("rank correlation"), integer("runs")]


def measure(context: Context[FaithfulnessOptions]) -> TaskResult:
    """Measure every map of every run on the same images."""
    split = context.images(FEW_IMAGES)
    images, labels = np.asarray(split.images[:], "float32"), np.asarray(split.labels)
    masks = None if split.masks is None else np.asarray(split.masks[:])
    options, scores = context.options, {}
    settings = {"steps": options.steps, "batch_size": options.batch_size, "seed": options.seed}
    for subject in context.subjects:
        kinds = kinds_of(subject.model, options.maps)
        scores[subject.name] = score_maps(
            subject.model, images, labels, masks, kinds=kinds, progress=subject.name, **settings
        )
    names = list(dict.fromkeys(name for of_run in scores.values() for name in of_run.curves))
    figures = []
    for subject in context.subjects:
        chart = _chart(scores[subject.name].curves, names)
        figures.append(Figure(f"curves{context.mark(subject)}", chart, f"{subject.name}: mean curves"))
    by_map = [(run, name, s) for run, of_run in scores.items() for name, s in of_run.values.items()]
    measured = [measure for measure in _MEASURES if any(measure in score for _, _, score in by_map)]
    rows = [[run, name, *(_mean(score[measure]) for measure in measured)] for run, name, score in by_map]
    columns = [text("run"), text("map"), *(_MEASURES[measure] for measure in measured)]
    tables = [Table("Faithfulness (means over images)", columns, rows)]
    agreement = _agreement(context.subjects, scores)
    if agreement:
        tables.append(Table("Agreement between runs of one network", _AGREEMENT, agreement))
    warnings = [
        f"{run}, {name}: {broken} of {len(images)} maps are not finite, left out"
        for run, of_run in scores.items()
        for name in of_run.maps
        if (broken := len(images) - of_run.values.get(name, {"images": 0})["images"])
    ]
    return TaskResult(
        "faithfulness",
        "Faithfulness of maps",
        {run: of_run.values for run, of_run in scores.items()},
        tables=tables,
        figures=figures,
        notes=_notes(len(images), masks),
        warnings=warnings,
    )


def _mean(value: float | tuple[float, float]) -> float:
    """The mean of what may come with its standard error."""
    return value[0] if isinstance(value, tuple) else value


def _notes(count: int, masks: np.ndarray | None) -> list[str]:
    area = ""
    if masks is not None:
        area = (
            f" The object covers {masks.mean():.1%} of the images. Of a map that does not look, that share "
            "of the mass lies there, and of the pixels ranked first, as many as the object has (rank)."
        )
    return [
        f"{count} test images; the class asked about is the one the network predicts. Insertion "
        "starts from a blurred image and shows pixels from the most important on (area under the curve, "
        "higher is better); deletion replaces them by the image's mean colour (lower is better). The map "
        f"called {RANDOM.name} ignores the image: a map that does no better explains nothing.",
        "Own quarter: images that the network classifies rightly are put together, four of different "
        "classes in one, and the map is asked for each class; the share of the map on that class's image. "
        f"{CHANCE} is chance, and what a map that knows no classes scores, such as attention.",
        "Entropy: 0 for one cell, 1 for a uniform map (of evidence: of the part that speaks for the class). "
        "After random weights: rank correlation with the map of the same network with random weights; near "
        "0 is right, a high value means that the map shows the image's edges rather than what was learnt. "
        "Other class: rank correlation with the map for the second most likely class; attention is 1 by "
        "construction, since it does not depend on a class." + area,
        "Blurred and half-deleted images are not natural images, so these areas compare maps on one "
        "network; they do not compare networks.",
    ]


def _agreement(subjects: Sequence[Subject], scores: Mapping[str, Scores]) -> list[list[Cell]]:
    """For runs of the same network: mean rank correlation of their maps of the images they agree on."""
    networks: dict[str, list[str]] = {}
    for subject in subjects:
        networks.setdefault(subject.kind, []).append(subject.name)
    rows: list[list[Cell]] = []
    for network, runs in networks.items():
        for name in scores[runs[0]].maps if len(runs) > 1 else ():
            pairs = []
            for one, other in combinations([scores[run] for run in runs if name in scores[run].maps], 2):
                same = one.predicted == other.predicted
                if same.any() and name != RANDOM.name:
                    pairs.append(mean_rank_correlation(one.maps[name][same], other.maps[name][same]))
            if pairs:
                rows.append([network, name, float(np.mean(pairs)), len(runs)])
    return rows


def _chart(curves: dict[str, tuple[Curves, Curves]], names: Sequence[str]) -> np.ndarray:
    """Mean curves of all maps: insertion on the left, deletion on the right."""
    panels = {
        title: {method: np.nanmean(pair[i].probabilities, axis=0) for method, pair in curves.items()}
        for i, title in enumerate(("insertion: higher is better", "deletion: lower is better"))
    }
    return line_chart(
        panels,
        next(iter(curves.values()))[0].fractions,
        x_label="share of pixels changed",
        y_label="probability of the predicted class",
        order=names,
        control=RANDOM.name,
    )
