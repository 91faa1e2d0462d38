"""Attention beside post-hoc explanations and a random map: which of them shows what the network uses?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from attention_keras.drawing.charts import line_chart
from attention_keras.drawing.maps import normalized_entropy
from attention_keras.evaluation.explanations.kinds import RANDOM, compute_maps, kinds_of
from attention_keras.evaluation.measures.agreement import rank_correlation
from attention_keras.evaluation.measures.localization import attention_on_object, pointing_game
from attention_keras.evaluation.measures.perturbation import (
    Curves,
    baselines,
    mean_and_error,
    perturbation_curves,
    pixel_order,
)
from attention_keras.evaluation.options import FEW_IMAGES, FaithfulnessOptions
from attention_keras.evaluation.report.result import Figure, TaskResult
from attention_keras.evaluation.report.table import Cell, Table, decimal, percent, text
from attention_keras.evaluation.subjects.subject import Subject
from attention_keras.evaluation.subjects.views import probability_function, randomized
from attention_keras.evaluation.tasks.context import Context

_COLUMNS = [
    text("run"),
    text("map"),
    *map(decimal, ("insertion", "deletion", "entropy", "after random weights", "other class")),
]
_MASK_COLUMNS = [percent("peak on object"), percent("mass on object")]


@dataclass(frozen=True, eq=False)
class Scores:
    """Measures of every map of one run, by the map's name.

    Attributes:
        values: numbers of the maps that are finite on some image.
        curves: insertion and deletion.
        valid: share of the images on which the map is finite.
    """

    values: dict[str, dict[str, Any]]
    curves: dict[str, tuple[Curves, Curves]]
    valid: dict[str, float]


def measure_faithfulness(context: Context[FaithfulnessOptions]) -> TaskResult:
    """Measure every map of every run on the same images."""
    split = context.images(FEW_IMAGES)
    images = np.asarray(split.images[:], "float32")
    masks = None if split.masks is None else np.asarray(split.masks[:])
    scores = {s.name: _measure(s, images, masks, context.options) for s in context.subjects}
    names = list(dict.fromkeys(name for found in scores.values() for name in found.curves))
    figures = [
        Figure(
            f"curves{context.mark(subject)}",
            _chart(scores[subject.name].curves, names),
            f"{subject.name}: mean curves",
        )
        for subject in context.subjects
    ]
    rows = [
        _row(run, method, score, masks is not None)
        for run, found in scores.items()
        for method, score in found.values.items()
    ]
    table = Table(
        "Faithfulness (means over images)", _COLUMNS + (_MASK_COLUMNS if masks is not None else []), rows
    )
    warnings = [
        f"{run}, {method}: {1 - share:.0%} of the maps are not finite, left out"
        for run, found in scores.items()
        for method, share in found.valid.items()
        if share < 1
    ]
    return TaskResult(
        "faithfulness",
        "Faithfulness of maps",
        {run: found.values for run, found in scores.items()},
        tables=[table],
        figures=figures,
        notes=_notes(len(images), masks),
        warnings=warnings,
    )


def _notes(count: int, masks: np.ndarray | None) -> list[str]:
    area = "" if masks is None else f" The object covers {masks.mean():.1%} of the images."
    return [
        f"{count} test images; the class asked about is the one the network predicts. Insertion "
        "starts from a blurred image and shows pixels from the most important on (area under the curve, "
        "higher is better); deletion replaces them by the image's mean colour (lower is better). The map "
        f"called {RANDOM.name} ignores the image: a map that does no better explains nothing.",
        "Entropy: 0 for one cell, 1 for a uniform map. After random weights: rank correlation with the "
        "map of the same network with random weights; near 0 is right, a high value means that the map "
        "shows the image's edges rather than what was learnt. Other class: rank correlation with the map "
        "for the second most likely class; "
        "attention is 1 by construction, since it does not depend on a class." + area,
        "Blurred and half-deleted images are not natural images, so these areas compare maps on one "
        "network; they do not compare networks.",
    ]


def _measure(
    subject: Subject, images: np.ndarray, masks: np.ndarray | None, options: FaithfulnessOptions
) -> Scores:
    settings = {"batch_size": options.batch_size, "seed": options.seed}
    predict = probability_function(subject.logits_model, options.batch_size)
    ranking = np.argsort(-predict(images), axis=-1, kind="stable")
    kinds = kinds_of(subject.model)
    of_class = [kind for kind in kinds if kind.of_class]
    here = compute_maps(kinds, subject.model, images, ranking[:, 0], **settings)
    random_model = randomized(subject.model, options.seed)
    there = compute_maps(kinds, random_model, images, ranking[:, 0], **settings)
    other = compute_maps(of_class, subject.model, images, ranking[:, 1], **settings)
    mean, blurred = baselines(images)
    scores = Scores({}, {}, {})
    for method, maps in tqdm(here.items(), desc=subject.name, unit=" maps", disable=None, leave=False):
        order = pixel_order(maps, images.shape[1:3], options.seed)
        insertion, deletion = (
            perturbation_curves(predict, start, end, order, ranking[:, 0], options.steps)
            for start, end in ((blurred, images), (images, mean))
        )
        finite = order[:, 0] >= 0
        scores.curves[method], scores.valid[method] = (insertion, deletion), float(finite.mean())
        if not finite.any():
            continue
        kept = maps[finite]
        score = {
            "images": int(finite.sum()),
            "insertion": mean_and_error(insertion.areas),
            "deletion": mean_and_error(deletion.areas),
            "entropy": float(normalized_entropy(kept).mean()),
            "rank_correlation_random_weights": _rank(maps, there[method]),
            "rank_correlation_other_class": _rank(maps, other[method]) if method in other else 1.0,
        }
        if method == RANDOM.name:
            score |= dict.fromkeys(("rank_correlation_random_weights", "rank_correlation_other_class"))
        if masks is not None:
            score["pointing_game"] = pointing_game(kept, masks[finite])
            score["mass_on_object"] = attention_on_object(kept, masks[finite])
        scores.values[method] = score
    return scores


def _rank(one: np.ndarray, other: np.ndarray) -> float:
    finite = np.isfinite(one).all(axis=(1, 2)) & np.isfinite(other).all(axis=(1, 2))
    return float(rank_correlation(one[finite], other[finite]).mean()) if finite.any() else float("nan")


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


def _row(run: str, method: str, score: dict[str, Any], masked: bool) -> list[Cell]:
    row = [
        run,
        method,
        score["insertion"][0],
        score["deletion"][0],
        score["entropy"],
        score["rank_correlation_random_weights"],
        score["rank_correlation_other_class"],
    ]
    return row + ([score["pointing_game"], score["mass_on_object"]] if masked else [])
