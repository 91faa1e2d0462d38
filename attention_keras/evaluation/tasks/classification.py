"""Top-1 error, confusion, images of answers, and whether attention points at the object."""

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np

from attention_keras.data.split import Split
from attention_keras.drawing.charts import confusion_figure, reliability_diagram
from attention_keras.evaluation.explanations.kinds import EVIDENCE
from attention_keras.evaluation.explanations.own import total_evidence
from attention_keras.evaluation.options import ClassificationOptions
from attention_keras.evaluation.report.result import Figure, TaskResult
from attention_keras.evaluation.report.table import Table, decimal, integer, percent, text
from attention_keras.evaluation.subjects.subject import Subject
from attention_keras.evaluation.tasks.answers import COLUMNS, PANELS, answer_galleries, answer_rows
from attention_keras.evaluation.tasks.context import Context
from attention_keras.evaluation.tasks.groups import GROUPS, errors_by_group, group_row
from attention_keras.evaluation.tasks.targets import measure_targets
from attention_keras.measures.answers import Classification, classify, reliability, uncalibrated
from attention_keras.measures.localization import localize
from attention_keras.models.outputs import attention_maps

_ERRORS = [
    *map(text, ("run", "network")),
    percent("error", 2),
    *map(integer, ("images", "trainable parameters", "all parameters")),
]
_CALIBRATION = [
    text("run"),
    decimal("temperature", 2),
    percent("calibration error before", 2),
    percent("after", 2),
]
_POINTING = [
    *map(text, ("run", "map")),
    *map(percent, ("peak on object", "best fixed point", "chance", "mass on object", "area")),
]
_MOST_CLASSES = 30


def measure(context: Context[ClassificationOptions]) -> TaskResult:
    """Classify every test image with every run."""
    if context.dataset.kind != "single":
        return measure_targets(context)
    test, names = context.images(), context.class_names
    groups = []
    values, galleries, figures, results = {}, [], [], {}
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
        if by_group := errors_by_group(test, probabilities.argmax(axis=-1) != test.labels):
            groups.append(group_row(subject.name, by_group))
            values[subject.name]["groups"] = by_group
        results[subject.name] = result
        errors.append([subject.name, subject.kind, result.error, result.images, *subject.parameters])
        calibrations.append([subject.name, *calibration.values()])
        pointing += [[subject.name, name, *s.values()] for name, s in scores.items()]
        answers += answer_rows(subject.name, test, probabilities, names)
        galleries += answer_galleries(context, subject, test, probabilities)
        lines = {"answers": after} if temperature == 1 else {"before": before, "after": after}
        for name, pixels, caption in (
            ("confusion", confusion_figure(np.array(result.confusion), names), "confusion matrix"),
            ("reliability", reliability_diagram(lines), "how often answers are right, by how sure they are"),
        ):
            figures.append(
                Figure(f"{name}{context.mark(subject)}", pixels, f"{subject.name}: {caption}", small=True)
            )
    tables = [
        Table("Test error", _ERRORS, errors),
        Table("Is it as often right as it is sure?", _CALIBRATION, calibrations),
    ]
    if groups:
        tables.append(Table("Error by group", GROUPS, groups))
    if pointing:
        tables.append(Table("Do the maps point at the object?", _POINTING, pointing))
    tables += _by_class(results)
    return TaskResult(
        "classification",
        "Classification",
        values,
        tables=tables,
        galleries=galleries,
        figures=figures,
        notes=_notes(len(test), context.dataset.name, bool(pointing)),
        further_tables={"answers.csv": Table("Answers", COLUMNS, answers)},
        folders=[PANELS],
    )


def _localization(
    context: Context[ClassificationOptions],
    subject: Subject,
    test: Split,
    attention: dict[str, np.ndarray],
    probabilities: np.ndarray,
) -> dict[str, dict[str, float]]:
    """Scores of the attention of each tap, and of the evidence for the predicted class."""
    if test.masks is None:
        return {}
    predicted, size = probabilities.argmax(axis=-1), context.options.batch_size
    evidence = total_evidence(subject, test.images, predicted, size)
    maps = attention if evidence is None else attention | {EVIDENCE.name: evidence}
    return localize(maps, np.asarray(test.masks[:])) if maps else {}


def _by_class(results: Mapping[str, Classification]) -> list[Table]:
    """The classes that any run errs on, the least recognised first; no table where there are none."""
    shares = {name: [r.per_class_accuracy[name] for r in results.values()] for name in _names(results)}
    erring = {name: found for name, found in shares.items() if None not in found and min(found) < 1}
    worst = sorted(erring, key=lambda name: (sum(erring[name]), name))[:_MOST_CLASSES]
    if not worst:
        return []
    counts = dict(zip(_names(results), np.sum(next(iter(results.values())).confusion, axis=1).tolist()))
    columns = [text("class"), integer("images"), *map(percent, results)]
    left = f" ({len(worst)} of {len(erring)} classes with errors)" if len(worst) < len(erring) else ""
    rows = [[name, counts[name], *erring[name]] for name in worst]
    return [Table(f"Accuracy by class, where there are errors{left}", columns, rows)]


def _names(results: Mapping[str, Classification]) -> list[str]:
    return list(next(iter(results.values())).per_class_accuracy)


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
