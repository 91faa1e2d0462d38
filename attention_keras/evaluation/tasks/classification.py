"""Top-1 error, confusion, images of answers, and whether attention points at the object."""

from dataclasses import asdict
from typing import Any

import numpy as np

from attention_keras.data.split import Split
from attention_keras.drawing.charts import confusion_figure, reliability_diagram
from attention_keras.evaluation.explanations.kinds import EVIDENCE
from attention_keras.evaluation.explanations.own import evidence_or_none
from attention_keras.evaluation.options import ClassificationOptions
from attention_keras.evaluation.report.result import Figure, TaskResult
from attention_keras.evaluation.report.table import Table, decimal, integer, percent, text
from attention_keras.evaluation.subjects.subject import Subject
from attention_keras.evaluation.tasks.answers import COLUMNS, PANELS, answer_galleries, answer_rows
from attention_keras.evaluation.tasks.context import Context
from attention_keras.measures.answers import Classification, classify, reliability, uncalibrated
from attention_keras.measures.localization import localize
from attention_keras.models.outputs import attention_maps

_ERROR_COLUMNS = [
    text("run"),
    text("network"),
    percent("error", 2),
    integer("images"),
    integer("trainable parameters"),
    integer("all parameters"),
]
_CALIBRATION_COLUMNS = [
    text("run"),
    decimal("temperature", 2),
    percent("calibration error before", 2),
    percent("after", 2),
]
_POINTING_COLUMNS = [
    text("run"),
    text("map"),
    *map(percent, ("peak on object", "best fixed point", "chance", "mass on object", "area")),
]


def measure(context: Context[ClassificationOptions]) -> TaskResult:
    """Classify every test image with every run."""
    test, names = context.images(), context.class_names
    values, galleries, figures, summary = {}, [], [], []
    errors, calibrations, pointing, answers = [], [], [], []
    for subject in context.subjects:
        outputs = subject.predictor.predict(test.images, context.options.batch_size)
        probabilities, maps = outputs["probabilities"], attention_maps(outputs)
        result = classify(probabilities, test.labels, names)
        scores = _localization(context, subject, test, maps, probabilities)
        temperature = subject.predictor.temperature
        after = reliability(probabilities, test.labels)
        before = reliability(uncalibrated(probabilities, temperature), test.labels)
        calibration = {"temperature": temperature, "before": before.error, "after": after.error}
        values[subject.name] = {**asdict(result), "calibration": calibration, "localization": scores}
        errors.append([subject.name, subject.kind, result.error, result.images, *subject.parameters])
        calibrations.append([subject.name, *calibration.values()])
        pointing += [[subject.name, name, *s.values()] for name, s in scores.items()]
        answers += answer_rows(subject.name, test, probabilities, names)
        galleries += answer_galleries(context, subject, test, probabilities, maps)
        lines = {"answers": after} if temperature == 1 else {"before": before, "after": after}
        figures += [
            Figure(
                f"confusion{context.mark(subject)}",
                confusion_figure(np.array(result.confusion), names),
                f"{subject.name}: confusion matrix",
                small=True,
            ),
            Figure(
                f"reliability{context.mark(subject)}",
                reliability_diagram(lines),
                f"{subject.name}: how often answers are right, by how sure they are",
                small=True,
            ),
        ]
        summary += _summary(subject, context.dataset.name, result, scores)
    tables = [
        Table("Test error", _ERROR_COLUMNS, errors),
        Table("Is it as often right as it is sure?", _CALIBRATION_COLUMNS, calibrations),
    ]
    if pointing:
        tables.append(Table("Do the maps point at the object?", _POINTING_COLUMNS, pointing))
    files: dict[str, Any] = {"answers.csv": Table("Answers", COLUMNS, answers)}
    if len(context.subjects) == 1:
        files["metrics.json"] = _metrics(context.dataset.name, result, scores)
    return TaskResult(
        "classification",
        "Classification",
        values,
        tables=tables,
        galleries=galleries,
        figures=figures,
        notes=_notes(len(test), context.dataset.name, bool(pointing)),
        summary=summary,
        files=files,
        folders=[PANELS],
    )


def _localization(
    context: Context[ClassificationOptions],
    subject: Subject,
    test: Split,
    maps: dict,
    probabilities: np.ndarray,
) -> dict[str, dict[str, float]]:
    """Scores of the attention of each tap, and of the evidence for the predicted class."""
    if test.masks is None:
        return {}
    maps = dict(maps)
    predicted, size = probabilities.argmax(axis=-1), context.options.batch_size
    if (evidence := evidence_or_none(subject, test.images, predicted, size)) is not None:
        maps[EVIDENCE.name] = evidence
    return localize(maps, np.asarray(test.masks[:])) if maps else {}


def _notes(images: int, dataset: str, pointing: bool) -> list[str]:
    notes = [
        f"Every one of the {images:,} test images of {dataset} counts once; "
        "one run is one seed, so that differences of a few tenths of a percent mean little. answers.csv has "
        "the answer to each of them.",
        "Calibration error: how far the share of right answers is from the probability given for them, on "
        "average over 15 bins. A temperature fitted on the validation images divides the logits; it changes "
        "no answer. In the diagram, points above the line are answers that are right more often than they "
        "are sure.",
    ]
    if pointing:
        notes.append(
            "Attention by tap, and the evidence for the predicted class. Peak on object: share of images "
            "whose largest value lies on a cell that the object touches; it is worth something above the "
            "best fixed point (always the same cell) and chance. Mass on object: share of the attention, or "
            "of what speaks for the class, that lies on the object; it is worth something above the object's "
            "share of the area."
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
    accuracy = result.per_class_accuracy
    erring = sorted((value, name) for name, value in accuracy.items() if value is not None and value < 1)
    if erring:
        lines.append("hardest classes: " + ", ".join(f"{name} {value:.1%}" for value, name in erring[:3]))
    if untested := sorted(name for name, value in accuracy.items() if value is None):
        lines.append("not tested: " + ", ".join(untested))
    for name, scores in localization.items():
        lines.append(
            f"{name if name == EVIDENCE.name else f'attention {name}'}: peak on the object in "
            f"{scores['pointing_game']:.1%} of images (best fixed point {scores['best_fixed_point']:.1%}, "
            f"chance {scores['chance']:.1%}); {scores['attention_on_object']:.1%} of it "
            f"on {scores['area_of_object']:.1%} of the area"
        )
    return lines
