"""How well each map of one network shows what the network uses: the measures of faithfulness."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from attention_keras.evaluation.explanations.kinds import RANDOM, MapKind, compute_maps, kinds_of
from attention_keras.evaluation.subjects.views import logits_view, probability_function, randomized
from attention_keras.measures.agreement import rank_correlation
from attention_keras.measures.localization import (
    QUARTERS,
    make_mosaics,
    mass_on_object,
    own_quarter,
    pointing_game,
    rank_accuracy,
)
from attention_keras.measures.maps import normalized_entropy
from attention_keras.measures.perturbation import (
    Curves,
    baselines,
    mean_and_error,
    perturbation_curves,
    pixel_order,
)
from attention_keras.progress import Bar

MOST_MOSAICS = 32


@dataclass(frozen=True, eq=False)
class Scores:
    """Measures of every map of one run, by the map's name, for the class `predicted` `(n,)` of each image.

    `values` has the numbers of maps that are finite on some image, and on how many; `curves` insertion and
    deletion.
    """

    values: dict[str, dict[str, Any]]
    curves: dict[str, tuple[Curves, Curves]]
    maps: dict[str, np.ndarray]
    predicted: np.ndarray


def score_maps(
    model: keras.Model,
    images: np.ndarray,
    labels: np.ndarray,
    masks: np.ndarray | None = None,
    *,
    kinds: Sequence[MapKind] | None = None,
    steps: int = 16,
    batch_size: int = 128,
    seed: int = 0,
    progress: str | None = None,
) -> Scores:
    """Measure every map of a network in float32, for the class that it predicts of pixels `(n, H, W, 3)`.

    The labels say which images are classified rightly; masks are `(n, H, W)` bool. By default the kinds of
    maps are all that the network has. `progress` names the progress bar; None is for no bar.
    """
    settings = {"batch_size": batch_size, "seed": seed}
    kinds = kinds_of(model) if kinds is None else kinds
    predict = probability_function(logits_view(model), batch_size)
    ranking = np.argsort(-predict(images), axis=-1, kind="stable")
    predicted = ranking[:, 0]
    of_class = [kind for kind in kinds if kind.of_class]
    here = compute_maps(kinds, model, images, predicted, **settings)
    there = compute_maps(kinds, randomized(model, seed), images, predicted, **settings)
    other = compute_maps(of_class, model, images, ranking[:, 1], **settings)
    right = predicted == labels
    quarters = _own_quarters(kinds, model, images[right], labels[right], **settings)
    mean, blurred = baselines(images)
    scores = Scores({}, {}, here, predicted)
    for method, maps in Bar(here.items(), desc=progress, unit=" maps", disable=not progress):
        order = pixel_order(maps, images.shape[1:3], seed)
        insertion, deletion = (
            perturbation_curves(predict, start, end, order, predicted, steps)
            for start, end in ((blurred, images), (images, mean))
        )
        scores.curves[method] = insertion, deletion
        finite = order[:, 0] >= 0
        if not finite.any():
            continue
        kept = maps[finite]
        score = {
            "images": int(finite.sum()),
            "insertion": mean_and_error(insertion.areas),
            "deletion": mean_and_error(deletion.areas),
            "own_quarter": quarters.get(method),
            "entropy": float(normalized_entropy(np.maximum(kept, 0)).mean()),
            "rank_correlation_random_weights": None,
            "rank_correlation_other_class": None,
        }
        if method != RANDOM.name:
            score["rank_correlation_random_weights"] = mean_rank_correlation(maps, there[method])
            known = method in other  # a map that knows no class is the same for the other class
            score["rank_correlation_other_class"] = (
                mean_rank_correlation(maps, other[method]) if known else 1.0
            )
        if masks is not None:
            score["pointing_game"] = pointing_game(kept, masks[finite])
            score["mass_on_object"] = mass_on_object(kept, masks[finite])
            score["rank_on_object"] = rank_accuracy(kept, masks[finite], seed)
        scores.values[method] = score
    return scores


def _own_quarters(
    kinds: Sequence[MapKind],
    model: keras.Model,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    batch_size: int,
    seed: int,
) -> dict[str, float]:
    """Share of each map in the quarter of the class asked about; {} for fewer than four classes."""
    if len(np.unique(labels)) < QUARTERS:
        return {}
    mosaics = make_mosaics(images, labels, min(MOST_MOSAICS, len(images)), seed)
    # One mosaic after the other, each asked about its four classes.
    asked = np.repeat(mosaics.images, QUARTERS, axis=0)
    quarters = np.tile(np.arange(QUARTERS), len(mosaics.images))
    maps = compute_maps(kinds, model, asked, mosaics.classes.ravel(), batch_size=batch_size, seed=seed)
    return {name: float(np.nanmean(own_quarter(level, quarters))) for name, level in maps.items()}


def mean_rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Of the maps `(n, h, w)` that are finite in both; NaN where there are none."""
    finite = np.isfinite(one).all(axis=(1, 2)) & np.isfinite(other).all(axis=(1, 2))
    return float(rank_correlation(one[finite], other[finite]).mean()) if finite.any() else float("nan")
