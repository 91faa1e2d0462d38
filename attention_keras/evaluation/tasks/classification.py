"""Top-1 error, confusion, pictures of answers, and whether attention points at the object."""

from typing import Any

import numpy as np

from attention_keras.drawing.confusion import confusion_figure
from attention_keras.evaluation.measures.classification import Classification, classify
from attention_keras.evaluation.measures.localization import localize
from attention_keras.evaluation.options import ClassificationOptions
from attention_keras.evaluation.report.json_text import json_text
from attention_keras.evaluation.report.result import Figure, TaskResult
from attention_keras.evaluation.report.table import Table, integer, percent, text
from attention_keras.evaluation.subjects.subject import Subject
from attention_keras.evaluation.tasks.answers import PANELS, answer_galleries
from attention_keras.evaluation.tasks.context import Context
from attention_keras.models.outputs import attention_maps

_ERROR_COLUMNS = [
    text("run"),
    text("network"),
    percent("error", 2),
    integer("images"),
    integer("parameters"),
]
_POINTING_COLUMNS = [
    text("run"),
    text("tap"),
    *map(percent, ("peak on object", "best fixed point", "chance", "attention on object", "area")),
]


def measure_classification(context: Context[ClassificationOptions]) -> TaskResult:
    """Classify every test image with every run."""
    test = context.images()
    values, galleries, figures, summary = {}, [], [], []
    rows, pointing = [], []
    for subject in context.subjects:
        outputs = subject.predictor.predict(test.images, context.options.batch_size)
        maps = attention_maps(outputs)
        result = classify(outputs["probabilities"], test.labels, context.class_names)
        scores = localize(maps, np.asarray(test.masks[:])) if maps and test.masks is not None else {}
        values[subject.name] = {**result.to_dict(), "localization": scores}
        rows.append([subject.name, subject.kind, result.error, result.images, subject.parameters])
        pointing += [[subject.name, tap, *s.values()] for tap, s in scores.items()]
        galleries += answer_galleries(context, subject, test, outputs["probabilities"], maps)
        picture = confusion_figure(np.array(result.confusion), context.class_names)
        caption = f"{subject.name}: confusion matrix"
        figures.append(Figure(f"confusion{context.mark(subject)}", picture, caption, small=True))
        summary += _summary(subject, context.dataset.name, result, scores)
    tables = [Table("Test error", _ERROR_COLUMNS, rows)]
    if pointing:
        tables.append(Table("Does attention point at the object?", _POINTING_COLUMNS, pointing))
    files = {}
    if len(context.subjects) == 1:
        metrics = _metrics(context.dataset.name, result, scores)
        files["metrics.json"] = json_text(metrics).encode()
    return TaskResult(
        "classification",
        "Classification",
        values,
        galleries=galleries,
        tables=tables,
        figures=figures,
        notes=_notes(len(test), context.dataset.name, bool(pointing)),
        summary=summary,
        files=files,
        folders=[PANELS],
    )


def _notes(images: int, dataset: str, pointing: bool) -> list[str]:
    notes = [
        f"Every one of the {images:,} test images of {dataset} counts once; "
        "one run is one seed, so that differences of a few tenths of a percent mean little."
    ]
    if pointing:
        notes.append(
            "Peak on object: share of images whose largest attention lies on a cell that the object "
            "touches; it is worth something above the best fixed point (always the same cell) and chance. "
            "Attention on object is worth something above the object's share of the area."
        )
    return notes


def _metrics(dataset: str, result: Classification, scores: dict[str, Any]) -> dict[str, Any]:
    """What `metrics.json` holds of a single run."""
    return {
        "dataset": dataset,
        "test_images": result.images,
        "test_error": result.error,
        "test_accuracy": result.accuracy,
        "localization": scores,
    }


def _summary(subject: Subject, dataset: str, result: Classification, localization: dict) -> list[str]:
    lines = [f"{subject.name}: test error {result.error:.2%} over {result.images:,} images of {dataset}"]
    known = {name: accuracy for name, accuracy in result.per_class_accuracy.items() if accuracy is not None}
    worst = sorted(known, key=known.get)[:3]
    lines.append("hardest classes: " + ", ".join(f"{name} {known[name]:.1%}" for name in worst))
    for tap, scores in localization.items():
        lines.append(
            f"attention {tap}: peak on the object in {scores['pointing_game']:.1%} of images "
            f"(best fixed point {scores['best_fixed_point']:.1%}, chance {scores['chance']:.1%}); "
            f"{scores['attention_on_object']:.1%} of the attention "
            f"on {scores['area_of_object']:.1%} of the area"
        )
    return lines
