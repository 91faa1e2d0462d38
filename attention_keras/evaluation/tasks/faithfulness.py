"""Attention beside post-hoc explanations and a random map: which of them shows what the network uses?"""

import numpy as np
from tqdm import tqdm

from attention_keras.data.split import Split
from attention_keras.drawing.charts import line_chart
from attention_keras.evaluation.explanations.posthoc import METHODS, cam_parts, class_activation_maps, explain
from attention_keras.evaluation.measures import faithfulness as measure
from attention_keras.evaluation.measures.localization import attention_on_object, pointing_game
from attention_keras.evaluation.report.result import Figure, Table, TaskResult
from attention_keras.evaluation.subjects.batches import predict_batches
from attention_keras.evaluation.subjects.subject import Subject, explained_layer, probability_function
from attention_keras.evaluation.tasks.context import Context
from attention_keras.models.outputs import attention_maps

IMAGES = 64
RANDOM = "random"
_HEADS = ["run", "map", "insertion", "deletion", "entropy", "after random weights", "other class"]
_MASK_HEADS = ["peak on object", "mass on object"]


def run(context: Context) -> TaskResult:
    """Measure every map of every run on the same images."""
    split = context.images(IMAGES)
    masks = None if split.masks is None else np.asarray(split.masks[:])
    values, rows, figures, warnings = {}, [], [], []
    attention = [f"attention {tap}" for s in context.subjects for tap in attention_maps(s.model.output)]
    order = list(dict.fromkeys([*METHODS, *attention, "CAM"]))
    for subject in context.subjects:
        scores, curves, valid = _measure(subject, split, masks, context)
        values[subject.name] = scores
        rows += [_row(subject.name, method, score, masks is not None) for method, score in scores.items()]
        for method, share in valid.items():
            if share < 1:
                warnings.append(
                    f"{subject.name}, {method}: {1 - share:.0%} of the maps are not finite, left out"
                )
        fractions = next(iter(curves.values()))[0].fractions
        panels = {
            title: {method: np.nanmean(pair[i].probabilities, axis=0) for method, pair in curves.items()}
            for i, title in enumerate(("insertion: higher is better", "deletion: lower is better"))
        }
        picture = line_chart(
            panels,
            fractions,
            x_label="share of pixels changed",
            y_label="probability of the predicted class",
            order=order,
            control=RANDOM,
        )
        figures.append(Figure(f"curves{context.mark(subject)}", picture, f"{subject.name}: mean curves"))
    area = "" if masks is None else f" The object covers {masks.mean():.1%} of the images."
    notes = [
        f"{len(split)} test images; the class asked about is the one the network predicts. Insertion "
        "starts from a blurred image and shows pixels from the most important on (area under the curve, "
        "higher is better); deletion replaces them by the image's mean colour (lower is better). The map "
        f"called {RANDOM} ignores the image: a map that does no better explains nothing.",
        "Entropy: 0 for one cell, 1 for a uniform map. After random weights: rank correlation with the "
        "map of the same network with random weights; near 0 is right, a high value means that the map "
        "shows the image's edges rather than what was learnt. Other class: rank correlation with the map "
        "for the second most likely class; "
        "attention is 1 by construction, since it does not depend on a class." + area,
        "Blurred and half-deleted images are not natural images, so these areas compare maps on one "
        "network; they do not compare networks.",
    ]
    heads = _HEADS + (_MASK_HEADS if masks is not None else [])
    table = Table("Faithfulness (means over images)", heads, rows)
    return TaskResult("faithfulness", "Faithfulness of maps", values, [table], figures, notes, warnings)


def _measure(subject: Subject, split: Split, masks: np.ndarray | None, context: Context):
    config = context.config
    images = np.asarray(split.images[:], "float32")
    predict = probability_function(subject.logits_model, config.batch_size)
    ranking = np.argsort(-predict(images), axis=-1, kind="stable")
    here = maps_of(subject.model, images, ranking[:, 0], config.batch_size, config.seed)
    random_model = measure.randomized(subject.model, config.seed)
    there = maps_of(random_model, images, ranking[:, 0], config.batch_size, config.seed)
    other = maps_of(subject.model, images, ranking[:, 1], config.batch_size, config.seed, only_class=True)
    mean, blurred = measure.baselines(images)
    scores, curves, valid = {}, {}, {}
    for method, maps in tqdm(here.items(), desc=subject.name, unit=" maps", disable=None, leave=False):
        order = measure.pixel_order(maps, images.shape[1:3], config.seed)
        insertion, deletion = (
            measure.perturbation_curves(predict, start, end, order, ranking[:, 0], config.steps)
            for start, end in ((blurred, images), (images, mean))
        )
        finite = order[:, 0] >= 0
        curves[method], valid[method] = (insertion, deletion), float(finite.mean())
        if not finite.any():
            continue
        kept = maps[finite]
        scores[method] = {
            "images": int(finite.sum()),
            "insertion": measure.mean_and_error(insertion.areas),
            "deletion": measure.mean_and_error(deletion.areas),
            "entropy": float(measure.normalized_entropy(kept).mean()),
            "rank_correlation_random_weights": _rank(maps, there[method]),
            "rank_correlation_other_class": _rank(maps, other[method]) if method in other else 1.0,
        }
        if method == RANDOM:
            scores[method] |= dict.fromkeys(
                ("rank_correlation_random_weights", "rank_correlation_other_class"), None
            )
        if masks is not None:
            scores[method]["pointing_game"] = pointing_game(kept, masks[finite])
            scores[method]["mass_on_object"] = attention_on_object(kept, masks[finite])
    return scores, curves, valid


def maps_of(model, images, targets, batch_size, seed, *, only_class: bool = False) -> dict[str, np.ndarray]:
    """Every map of one network: attention of each tap, CAM, the post-hoc methods, and a random map.

    Args:
        model: in float32, with the outputs of this package.
        images: `(n, H, W, 3)`.
        targets: `(n,)` classes to explain.
        batch_size: images at a time.
        seed: of noise and of the random map.
        only_class: only maps that depend on the class.

    Returns:
        Name -> `(n, h, w)`, not negative.
    """
    import keras

    maps = {}
    attention = attention_maps(model.output)
    if attention and not only_class:
        view = keras.Model(model.input, attention)
        found = predict_batches(view, images, batch_size)
        maps |= {f"attention {tap}": found[tap] for tap in attention}
    if parts := cam_parts(model):
        features = predict_batches(parts[0], images, batch_size)
        maps["CAM"] = class_activation_maps(features, parts[1], targets)
    logits = keras.Model(model.input, model.output["logits"])
    layer = explained_layer(model)
    for method in METHODS:
        maps[method] = explain(method, logits, layer, images, targets, batch_size=batch_size, seed=seed)
    if not only_class:
        size = maps["Grad-CAM"].shape[1:]
        maps[RANDOM] = np.stack([np.random.default_rng([seed, i]).random(size) for i in range(len(images))])
    return maps


def _rank(one: np.ndarray, other: np.ndarray) -> float:
    finite = np.isfinite(one).all(axis=(1, 2)) & np.isfinite(other).all(axis=(1, 2))
    return (
        float(measure.rank_correlation(one[finite], other[finite]).mean()) if finite.any() else float("nan")
    )


def _row(run: str, method: str, score: dict, masked: bool) -> list:
    row = [
        run,
        method,
        score["insertion"][0],
        score["deletion"][0],
        score["entropy"],
        score["rank_correlation_random_weights"],
        score["rank_correlation_other_class"],
    ]
    return row + ([f"{score['pointing_game']:.1%}", f"{score['mass_on_object']:.1%}"] if masked else [])
