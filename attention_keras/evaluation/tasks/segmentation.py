"""Attention as a segmentation that nobody trained for, beside CAM, Grad-CAM and guesses without looking."""

import keras
import numpy as np

from attention_keras.data.masked_images import load_masked_images
from attention_keras.data.split import Split
from attention_keras.drawing.grids import outline_grid
from attention_keras.errors import NotApplicable
from attention_keras.evaluation.explanations.posthoc import cam_parts, class_activation_maps, explain
from attention_keras.evaluation.measures import segmentation as measure
from attention_keras.evaluation.report.result import Figure, Table, TaskResult
from attention_keras.evaluation.subjects.batches import predict_batches
from attention_keras.evaluation.subjects.subject import Subject, explained_layer
from attention_keras.evaluation.tasks.context import Context
from attention_keras.models.outputs import attention_maps

GUESSES = "no model"
ROWS = 6
_SCORES = {"jaccard": "Jaccard", "precision": "precision", "corloc": "CorLoc"}
_HEADS = ["run", "map", *(f"{title}, {cut}" for title in _SCORES.values() for cut in measure.THRESHOLDS)]


def run(context: Context) -> TaskResult:
    """Score every map of every run, at every threshold, against the masks."""
    split, name = _images(context)
    masks = np.asarray(split.masks[:])
    values, rows, columns = {}, [], {"truth": masks[:ROWS]}
    for subject in context.subjects:
        maps = _maps(subject, split, context)
        found = measure.combine(maps["attention"], masks.shape[1:]) if maps["attention"] else {}
        found |= {
            n: m for n, m in measure.combine(maps["other"], masks.shape[1:]).items() if n in maps["other"]
        }
        values[subject.name] = {}
        for map_name, level in found.items():
            for threshold, cut in measure.THRESHOLDS.items():
                scores = measure.score_masks(cut(level, masks), masks, split.boxes)
                values[subject.name].setdefault(map_name, {})[threshold] = scores
            rows.append([subject.name, map_name, *_cells(values[subject.name][map_name])])
        # Of a network with attention its attention is shown, however Grad-CAM does.
        shown = [n for n in found if n not in maps["other"]] or list(found)
        best = max(shown, key=lambda n: values[subject.name][n]["otsu"]["jaccard"])
        columns[f"{subject.name}\n{best}, otsu"] = measure.otsu_masks(found[best][:ROWS])
    area = float(masks.mean())
    guesses = {
        "centre box": measure.centre_box(len(masks), masks.shape[1:], area),
        "all object": np.ones_like(masks),
        "all background": np.zeros_like(masks),
    }
    for guess, guessed in guesses.items():
        scores = measure.score_masks(guessed, masks, split.boxes)
        values.setdefault(GUESSES, {})[guess] = scores
        rows.append([GUESSES, guess, *_cells({next(iter(measure.THRESHOLDS)): scores})])
    picture = outline_grid(np.asarray(split.images[:ROWS]), columns)
    notes = [
        f"{len(split)} images with masks from {name}; the object covers {area:.1%} of them. Maps are "
        "enlarged bilinearly, divided by their maximum and cut: by Otsu's threshold, at half of the "
        "maximum, or at the threshold that fits the true mask best (oracle: an upper bound, not a method).",
        "Jaccard: intersection over union. Precision: share of pixels labelled right, which calling "
        "everything background scores well on when objects are small. CorLoc: the box around the largest "
        "part overlaps the true box by half. Nothing here was trained on masks. A map must beat the "
        "centre box to show that it looks.",
    ]
    figure = Figure(
        "masks", picture, "Outlines of the best map of each run by Otsu's threshold, and the truth"
    )
    table = Table("Segmentation (means over images)", _HEADS, rows)
    return TaskResult("segmentation", "Weakly supervised segmentation", values, [table], [figure], notes)


def _images(context: Context) -> tuple[Split, str]:
    config = context.config
    if config.masks:
        size = context.subjects[0].predictor.image_shape[:2]
        return load_masked_images(
            config.masks, size, limit=config.limit, data_dir=config.data_dir
        ), config.masks
    split = context.images()
    if split.masks is None:
        raise NotApplicable(
            f"{context.dataset.name} has no masks; give --masks folder:PATH or --masks tfds:oxford_iiit_pet"
        )
    return split, context.dataset.name


def _maps(subject: Subject, split: Split, context: Context) -> dict[str, dict[str, np.ndarray]]:
    """Attention of each tap; CAM and Grad-CAM of the predicted class."""
    batch_size, model = context.config.batch_size, subject.model
    images = np.asarray(split.images[:], "float32")
    attention = attention_maps(model.output)
    view = keras.Model(model.input, {"logits": model.output["logits"], **attention})
    found = predict_batches(view, images, batch_size)
    targets = found.pop("logits").argmax(axis=-1)
    other = {}
    if parts := cam_parts(model):
        features = predict_batches(parts[0], images, batch_size)
        other["CAM"] = class_activation_maps(features, parts[1], targets)
    else:
        # For global average pooling Grad-CAM is CAM.
        layer = explained_layer(model)
        other["Grad-CAM"] = explain(
            "Grad-CAM", subject.logits_model, layer, images, targets, batch_size=batch_size
        )
    return {"attention": found, "other": other}


def _cells(by_threshold: dict[str, dict[str, float]]) -> list[float | None]:
    """Scores in the order of the table; a guess has no threshold and fills the first column of each."""
    return [by_threshold.get(cut, {}).get(score) for score in _SCORES for cut in measure.THRESHOLDS]
