"""Attention and evidence as segmentations that nobody trained for, beside Grad-CAM and blind guesses."""

import numpy as np

from attention_keras.data.masked_images import load_masked_images
from attention_keras.data.split import Split
from attention_keras.drawing.grids import outline_grid
from attention_keras.errors import NotApplicable
from attention_keras.evaluation.explanations.kinds import locating_kinds
from attention_keras.evaluation.measures.masks import THRESHOLDS, centre_box, combine, otsu_masks, score_masks
from attention_keras.evaluation.options import SegmentationOptions
from attention_keras.evaluation.report.result import Figure, TaskResult
from attention_keras.evaluation.report.table import Table, decimal, text
from attention_keras.evaluation.subjects.subject import Subject
from attention_keras.evaluation.tasks.context import Context

GUESSES = "no model"
ROWS = 6
_SCORES = {"jaccard": "Jaccard", "precision": "precision", "corloc": "CorLoc"}
_COLUMNS = [
    text("run"),
    text("map"),
    *(decimal(f"{title}, {cut}") for title in _SCORES.values() for cut in THRESHOLDS),
]


def measure_segmentation(context: Context[SegmentationOptions]) -> TaskResult:
    """Score every map of every run, at every threshold, against the masks."""
    split, name = _images(context)
    masks = np.asarray(split.masks[:])
    values, rows, columns = {}, [], {"truth": masks[:ROWS]}
    for subject in context.subjects:
        by_kind = _maps_at_image_size(subject, split, context)
        values[subject.name] = {}
        for map_name, level in {name: m for maps in by_kind for name, m in maps.items()}.items():
            for threshold, cut in THRESHOLDS.items():
                scores = score_masks(cut(level, masks), masks, split.boxes)
                values[subject.name].setdefault(map_name, {})[threshold] = scores
            rows.append([subject.name, map_name, *_cells(values[subject.name][map_name])])
        # A network with attention is shown by its attention, even where Grad-CAM scores better.
        shown = by_kind[0]
        best = max(shown, key=lambda n: values[subject.name][n]["otsu"]["jaccard"])
        columns[f"{subject.name}\n{best}, otsu"] = otsu_masks(shown[best][:ROWS])
    area = float(masks.mean())
    guesses = {
        "centre box": centre_box(len(masks), masks.shape[1:], area),
        "all object": np.ones_like(masks),
        "all background": np.zeros_like(masks),
    }
    for guess, guessed in guesses.items():
        scores = score_masks(guessed, masks, split.boxes)
        values.setdefault(GUESSES, {})[guess] = scores
        rows.append([GUESSES, guess, *_cells({next(iter(THRESHOLDS)): scores})])
    picture = outline_grid(np.asarray(split.images[:ROWS]), columns)
    notes = [
        f"{len(split)} images with masks from {name}; the object covers {area:.1%} of them. Maps are "
        "enlarged bilinearly, divided by their maximum and cut (of evidence the part that speaks for the "
        "predicted class): by Otsu's threshold, at half of the "
        "maximum, or at the threshold that fits the true mask best (oracle: an upper bound, not a method).",
        "Jaccard: intersection over union. Precision: share of pixels labelled right, which calling "
        "everything background scores well on when objects are small. CorLoc: the box around the largest "
        "part overlaps the true box by half. Nothing here was trained on masks. A map must beat the "
        "centre box to show that it looks.",
    ]
    figure = Figure(
        "masks", picture, "Outlines of the best map of each run by Otsu's threshold, and the truth"
    )
    table = Table("Segmentation (means over images)", _COLUMNS, rows)
    parts = {"tables": [table], "figures": [figure], "notes": notes}
    return TaskResult("segmentation", "Weakly supervised segmentation", values, **parts)


def _images(context: Context) -> tuple[Split, str]:
    options = context.options
    if options.masks:
        to = context.picture_format
        split = load_masked_images(options.masks, to, limit=options.limit, data_dir=context.tfds_folder)
        return split, options.masks
    split = context.images()
    if split.masks is None:
        raise NotApplicable(
            f"{context.dataset.name} has no masks; masks takes folder:PATH or tfds:oxford_iiit_pet"
        )
    return split, context.dataset.name


def _maps_at_image_size(subject: Subject, split: Split, context: Context) -> list[dict[str, np.ndarray]]:
    """For each kind of map of the predicted class: level, or combination of levels -> `(n, H, W)`."""
    options, model = context.options, subject.model
    images = np.asarray(split.images[:], "float32")
    predicted = subject.probabilities(images, options.batch_size).argmax(axis=-1)
    settings = {"batch_size": options.batch_size, "seed": options.seed}
    found = []
    for kind in locating_kinds(model):
        maps = kind.compute(model, images, predicted, **settings)
        if kind.signed:  # what speaks for the class; the taps are added up already
            parts = [
                combine({kind.full_name(tap): np.maximum(m, 0)}, images.shape[1:3]) for tap, m in maps.items()
            ]
            found.append({name: level for part in parts for name, level in part.items()})
        else:
            found.append(combine(maps, images.shape[1:3]))
    return found


def _cells(by_threshold: dict[str, dict[str, float]]) -> list[float | None]:
    """Scores in the order of the table; a guess has no threshold and fills the first column of each."""
    return [by_threshold.get(cut, {}).get(score) for score in _SCORES for cut in THRESHOLDS]
