"""Attention and evidence as segmentations that nobody trained for, beside Grad-CAM and blind guesses."""

import numpy as np

from attention_keras.data.datasets import load_masked_images
from attention_keras.data.split import Split
from attention_keras.drawing.images import outline_grid
from attention_keras.errors import NotApplicable
from attention_keras.evaluation.kinds import locating_kinds
from attention_keras.evaluation.options import SegmentationOptions
from attention_keras.evaluation.result import Figure, TaskResult
from attention_keras.evaluation.subjects.dataset import Context, picture_format, tfds_folder
from attention_keras.evaluation.subjects.load import Subject
from attention_keras.evaluation.table import DECIMAL, TEXT, Table
from attention_keras.measures import localization

GUESSES, ROWS = "no model", 6
_SCORES = {"jaccard": "Jaccard", "precision": "precision", "corloc": "CorLoc", "best_jaccard": "best Jaccard"}
_COLUMNS = {"run": TEXT, "map": TEXT} | dict.fromkeys(_SCORES.values(), DECIMAL)


def measure(context: Context[SegmentationOptions]) -> TaskResult:
    """Score every map of every run, cut by Otsu's threshold, against the masks."""
    split, source = _images(context)
    masks = np.asarray(split.masks[:])
    values, columns = {}, {"truth": masks[:ROWS]}
    for subject in context.subjects:
        by_kind, scores = _maps_at_image_size(subject, split, context), {}
        for name, level in (item for maps in by_kind for item in maps.items()):
            scores[name] = localization.score_masks(localization.otsu_masks(level), masks, split.boxes)
            oracle = localization.oracle_masks(level, masks)
            scores[name]["best_jaccard"] = float(localization.jaccard(oracle, masks).mean())
        values[subject.name] = scores
        # A network with attention is shown by its attention, even where Grad-CAM scores better.
        best = max(by_kind[0], key=lambda n: scores[n]["jaccard"])
        columns[f"{subject.name}\n{best}"] = localization.otsu_masks(by_kind[0][best][:ROWS])
    guesses = {
        "centre box": localization.centre_box(len(masks), masks.shape[1:], float(masks.mean())),
        "all object": np.ones_like(masks),
        "all background": np.zeros_like(masks),
    }
    values[GUESSES] = {
        name: localization.score_masks(guess, masks, split.boxes) for name, guess in guesses.items()
    }
    rows = [
        [run, name, *map(scores.get, _SCORES)]
        for run, by_map in values.items()
        for name, scores in by_map.items()
    ]
    notes = [
        f"{len(split)} images with masks from {source}; the object covers {masks.mean():.1%} of them. Maps "
        "(evidence: what speaks for the class) are cut by Otsu's threshold, for the best Jaccard by the best "
        "threshold of each image, an upper bound. Precision: share of pixels labelled right. CorLoc: the box "
        "around the largest part overlaps the true box by half. A map that looks beats the centre box.",
    ]
    image = outline_grid(np.asarray(split.images[:ROWS]), columns)
    figure = Figure("masks", image, "Outlines of the best map of each run by Otsu's threshold, and the truth")
    tables = [Table("Segmentation (means over images)", _COLUMNS, rows)]
    return TaskResult("Weakly supervised segmentation", values, tables, [figure], notes=notes)


def _images(context: Context[SegmentationOptions]) -> tuple[Split, str]:
    options = context.options
    if options.masks:
        which = {"limit": options.limit or None, "data_dir": tfds_folder(context.subjects, options.data_dir)}
        return load_masked_images(options.masks, picture_format(context.subjects), **which), options.masks
    split = context.images()
    if split.masks is None:
        raise NotApplicable(
            f"{context.dataset.name} has no masks; masks takes folder:PATH or tfds:oxford_iiit_pet"
        )
    return split, context.dataset.name


def _maps_at_image_size(subject: Subject, split: Split, context: Context) -> list[dict[str, np.ndarray]]:
    """For each kind of map of the predicted class: level, or combination of levels -> `(n, H, W)`."""
    options, model, images = context.options, subject.model, np.asarray(split.images[:], "float32")
    size = images.shape[1:3]
    predicted = subject.probabilities(images, options.batch_size).argmax(axis=-1)
    by_kind = []
    for kind in locating_kinds(model):
        maps = kind.compute(model, images, predicted, options.batch_size, options.seed)
        if kind.signed:  # what speaks for the class; the taps are added up already
            speaking = {kind.full_name(tap): np.maximum(level, 0) for tap, level in maps.items()}
            by_kind.append({name: localization.at_one_scale(level, size) for name, level in speaking.items()})
        else:
            by_kind.append(localization.combine(maps, size))
    return by_kind
