"""Attention and evidence beside post-hoc explanations: which of the maps shows what the network uses?"""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from attention_keras.drawing.charts import line_chart
from attention_keras.evaluation.kinds import RANDOM, MapKind, compute_maps, kinds_of
from attention_keras.evaluation.options import FEW_IMAGES, FaithfulnessOptions
from attention_keras.evaluation.result import Figure, TaskResult
from attention_keras.evaluation.subjects.dataset import Context
from attention_keras.evaluation.subjects.load import Subject
from attention_keras.evaluation.subjects.views import randomized, softmax_batches
from attention_keras.evaluation.table import DECIMAL, INTEGER, PERCENT, TEXT, Cell, Table
from attention_keras.measures import faithfulness, localization
from attention_keras.measures.faithfulness import Curves
from attention_keras.measures.localization import CHANCE, QUARTERS
from attention_keras.measures.maps import normalized_entropy
from attention_keras.progress import Bar

MOST_MOSAICS = 32
# What is shown of each map: its name among the values, its column. The last three need masks.
_MEASURES = {
    "insertion": ("insertion", DECIMAL),
    "deletion": ("deletion", DECIMAL),
    "own_quarter": ("own quarter", DECIMAL),
    "entropy": ("entropy", DECIMAL),
    "rank_correlation_random_weights": ("after random weights", DECIMAL),
    "rank_correlation_other_class": ("other class", DECIMAL),
    "pointing_game": ("peak on object", PERCENT),
    "mass_on_object": ("mass on object", PERCENT),
    "rank_on_object": ("rank on object", PERCENT),
}
_AGREEMENT = {"network": TEXT, "map": TEXT, "rank correlation": DECIMAL, "runs": INTEGER}


class Scores(NamedTuple):
    """Of one run, by the map's name: numbers, curves of insertion and deletion, and the maps themselves."""

    values: dict[str, dict[str, Any]]
    curves: dict[str, tuple[Curves, Curves]]
    maps: dict[str, np.ndarray]
    predicted: np.ndarray


def measure(context: Context[FaithfulnessOptions]) -> TaskResult:
    """Measure every map of every run on the same images."""
    split = context.images(FEW_IMAGES)
    images, labels = np.asarray(split.images[:], "float32"), np.asarray(split.labels)
    masks = None if split.masks is None else np.asarray(split.masks[:])
    scores = {s.name: _score_maps(s, images, labels, masks, context.options) for s in context.subjects}
    names = list(dict.fromkeys(name for of_run in scores.values() for name in of_run.curves))
    figures = [
        Figure(f"curves{context.mark(s)}", _chart(scores[s.name].curves, names), f"{s.name}: mean curves")
        for s in context.subjects
    ]
    by_map = [(run, name, s) for run, of_run in scores.items() for name, s in of_run.values.items()]
    shown = [measure for measure in _MEASURES if any(measure in score for _, _, score in by_map)]
    rows = []
    for run, name, score in by_map:
        cells = [score[measure] for measure in shown]  # some are a mean with its standard error
        rows.append([run, name, *(cell[0] if isinstance(cell, tuple) else cell for cell in cells)])
    columns = {"run": TEXT, "map": TEXT} | dict(_MEASURES[measure] for measure in shown)
    tables = [Table("Faithfulness (means over images)", columns, rows)]
    if agreement := _agreement(context.subjects, scores):
        tables.append(Table("Agreement between runs of one network", _AGREEMENT, agreement))
    warnings = [
        f"{run}, {name}: {broken} of {len(images)} maps are not finite, left out"
        for run, of_run in scores.items()
        for name in of_run.maps
        if (broken := len(images) - of_run.values.get(name, {"images": 0})["images"])
    ]
    values, notes = {run: of_run.values for run, of_run in scores.items()}, _notes(len(images), masks)
    return TaskResult("Faithfulness of maps", values, tables, figures, notes=notes, warnings=warnings)


def _score_maps(subject: Subject, images, labels, masks, options: FaithfulnessOptions) -> Scores:
    """Measure the maps of a network in float32, for the class that it predicts of pixels `(n, H, W, 3)`."""
    model, seed = subject.model, options.seed
    settings = {"batch_size": options.batch_size, "seed": seed}
    kinds = kinds_of(model, options.maps)
    predict = partial(softmax_batches, subject.logits_model, batch_size=options.batch_size)
    ranking = np.argsort(-predict(images), axis=-1, kind="stable")
    predicted = ranking[:, 0]
    here = compute_maps(kinds, model, images, predicted, **settings)
    there = compute_maps(kinds, randomized(model, seed), images, predicted, **settings)
    of_class = [kind for kind in kinds if kind.of_class]
    other = compute_maps(of_class, model, images, ranking[:, 1], **settings)
    right = predicted == labels
    quarters = _own_quarters(kinds, model, images[right], labels[right], **settings)
    mean, blurred = faithfulness.baselines(images)
    scores = Scores({}, {}, here, predicted)
    for name, maps in Bar(here.items(), desc=subject.name, unit=" maps"):
        order = faithfulness.pixel_order(maps, images.shape[1:3], seed)
        insertion, deletion = (
            faithfulness.perturbation_curves(predict, start, end, order, predicted, options.steps)
            for start, end in ((blurred, images), (images, mean))
        )
        scores.curves[name] = insertion, deletion
        finite = order[:, 0] >= 0
        if not finite.any():
            continue
        kept, is_random = maps[finite], name == RANDOM.name
        random_weights = faithfulness.mean_rank_correlation(maps, there[name])
        # A map that knows no class is the same for the other class.
        other_class = faithfulness.mean_rank_correlation(maps, other[name]) if name in other else 1.0
        score = {
            "images": int(finite.sum()),
            "insertion": faithfulness.mean_and_error(insertion.areas),
            "deletion": faithfulness.mean_and_error(deletion.areas),
            "own_quarter": quarters.get(name),
            "entropy": float(normalized_entropy(np.maximum(kept, 0)).mean()),
            "rank_correlation_random_weights": None if is_random else random_weights,
            "rank_correlation_other_class": None if is_random else other_class,
        }
        if masks is not None:
            score["pointing_game"] = localization.pointing_game(kept, masks[finite])
            score["mass_on_object"] = localization.mass_on_object(kept, masks[finite])
            score["rank_on_object"] = localization.rank_accuracy(kept, masks[finite], seed)
        scores.values[name] = score
    return scores


def _own_quarters(kinds: Sequence[MapKind], model, images, labels, **settings) -> dict[str, float]:
    """Share of each map in the quarter of the class asked about; {} for fewer than four classes."""
    if len(np.unique(labels)) < QUARTERS:
        return {}
    mosaics = localization.make_mosaics(images, labels, min(MOST_MOSAICS, len(images)), settings["seed"])
    # One mosaic after the other, each asked about its four classes.
    asked = np.repeat(mosaics.images, QUARTERS, axis=0)
    quarters = np.tile(np.arange(QUARTERS), len(mosaics.images))
    maps = compute_maps(kinds, model, asked, mosaics.classes.ravel(), **settings)
    return {
        name: float(np.nanmean(localization.own_quarter(level, quarters))) for name, level in maps.items()
    }


def _agreement(subjects: Sequence[Subject], scores: Mapping[str, Scores]) -> list[list[Cell]]:
    """For runs of the same network: mean rank correlation of their maps of the images they agree on."""
    networks: dict[str, list[Scores]] = {}
    for subject in subjects:
        networks.setdefault(subject.kind, []).append(scores[subject.name])
    rows: list[list[Cell]] = []
    for network, runs in networks.items():
        for name in [name for name in runs[0].maps if name != RANDOM.name]:
            found = []
            for one, other in combinations([run for run in runs if name in run.maps], 2):
                same = one.predicted == other.predicted
                if same.any():
                    found.append(
                        faithfulness.mean_rank_correlation(one.maps[name][same], other.maps[name][same])
                    )
            if found:
                rows.append([network, name, float(np.mean(found)), len(runs)])
    return rows


def _chart(curves: dict[str, tuple[Curves, Curves]], names: Sequence[str]) -> np.ndarray:
    """Mean curves of all maps: insertion on the left, deletion on the right."""
    panels = {
        title: {name: np.nanmean(pair[i].probabilities, axis=0) for name, pair in curves.items()}
        for i, title in enumerate(("insertion: higher is better", "deletion: lower is better"))
    }
    fractions = next(iter(curves.values()))[0].fractions
    axes = {"x_label": "share of pixels changed", "y_label": "probability of the predicted class"}
    return line_chart(panels, fractions, **axes, order=names, control=RANDOM.name)


def _notes(count: int, masks: np.ndarray | None) -> list[str]:
    area = ""
    if masks is not None:
        area = f" The object covers {masks.mean():.1%} of the images: chance for mass and rank on object."
    return [
        f"{count} test images, for the predicted class. Insertion shows the most important pixels first, "
        "from a blurred image on (area under the curve, higher is better); deletion replaces them by the "
        f"mean colour (lower is better). A map that does no better than {RANDOM.name} explains nothing.",
        "Own quarter: of four images of different classes in one, the share of the map on that of the class "
        f"asked about; {CHANCE} is chance, and what attention scores, which knows no classes.",
        "Entropy: 0 for one cell, 1 for a uniform map (of evidence: of what speaks for the class). After "
        "random weights: rank correlation with the map of the network before it learnt; high where a map "
        "shows edges. Other class: the same with the map for the second most likely class." + area,
        "Blurred and half-deleted images are not natural: areas compare maps on one network, not networks.",
    ]
