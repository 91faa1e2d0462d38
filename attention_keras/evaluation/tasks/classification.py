"""How often answers (classes, tags, numbers) are right, images of them, and whether maps point at objects."""

from collections.abc import Callable
from typing import Any

import numpy as np

from attention_keras.data.split import Split
from attention_keras.drawing.charts import confusion_figure, reliability_diagram
from attention_keras.drawing.images import tags_of
from attention_keras.evaluation.kinds import EVIDENCE
from attention_keras.evaluation.options import ClassificationOptions
from attention_keras.evaluation.result import Figure, TaskResult
from attention_keras.evaluation.subjects.dataset import Context
from attention_keras.evaluation.subjects.load import Subject
from attention_keras.evaluation.table import DECIMAL, INTEGER, PERCENT, TEXT, Cell, Table, to_csv
from attention_keras.evaluation.tasks.answers import answer_galleries, answer_heads, answer_rows
from attention_keras.measures import answers as measures
from attention_keras.measures.localization import localize
from attention_keras.models.outputs import PROBABILITIES, attention_maps

# Tables by what stands over them; those without rows are left out.
ERRORS, CALIBRATION, GROUPS = "Test error", "Is it as often right as it is sure?", "Error by group"
POINTING, TAGS, EACH, NUMBERS = "Do the maps point at the object?", "Tags", "Each tag", "Numbers"
_RUN = {"run": TEXT, "network": TEXT}
_COLUMNS = {
    ERRORS: _RUN
    | {"error": ".2%"}
    | dict.fromkeys(("images", "trainable parameters", "all parameters"), INTEGER),
    TAGS: _RUN
    | {"mAP": DECIMAL, "F1": DECIMAL, "all tags right": PERCENT, "images": INTEGER, "hardest tags": TEXT},
    EACH: {"run": TEXT, "tag": TEXT}
    | {"average precision": DECIMAL, "F1": DECIMAL, "threshold": DECIMAL, "images": INTEGER},
    NUMBERS: _RUN | {"R2": DECIMAL, "mean absolute error": DECIMAL, "images": INTEGER},
    CALIBRATION: {"run": TEXT, "temperature": ",.2f", "calibration error before": ".2%", "after": ".2%"},
    GROUPS: {"run": TEXT, "groups": INTEGER, "mean error of a group": DECIMAL, "standard error": DECIMAL}
    | {"worst groups: error, images": TEXT},
    POINTING: {"run": TEXT, "map": TEXT}
    | dict.fromkeys(("peak on object", "best fixed point", "chance", "mass on object", "area"), PERCENT),
}
_MOST_CLASSES, _HARDEST, _WORST_GROUPS = 30, 3, 5
_NOTES = {
    "single": "Calibration error: how far the share of right answers is from their probability, on average "
    "over 15 bins. A temperature fitted on the validation images divides the logits; it changes no answer. "
    "Points above the line are answers more often right than sure.",
    "multi": "mAP: mean over the tags of the average precision; F1 at the threshold of each tag, chosen on "
    "validation images. The error of an image, by which groups are compared, is its share of wrong tags.",
    "number": "R2: share of the numbers' variance that is explained; 0 is to answer their mean. The error of "
    "an image, by which groups are compared, is how far the answer is from its number.",
}
_POINTING_NOTE = (
    "Peak on object: share of images whose largest value lies on a cell that the object touches; compare the "
    "best fixed point (always the same cell) and chance. Mass on object: share of the attention, or of what "
    "speaks for the predicted class, on the object; compare the object's share of the area."
)
Scored = tuple[dict[str, Any], np.ndarray, list[Figure]]
"""Values for the JSON, the error of each image `(n,)`, and figures."""


def measure(context: Context[ClassificationOptions]) -> TaskResult:
    """Scores of every run on every test image."""
    test, kind = context.images(), context.dataset.kind
    score = {"single": _score_classes, "multi": _score_tags, "number": _score_numbers}[kind]
    rows: dict[str, list[list[Cell]]] = {caption: [] for caption in _COLUMNS}
    values, answers, galleries, figures = {}, [], {}, []
    for subject in context.subjects:
        outputs = subject.predictor.predict(test.images, context.options.batch_size)

        def add(caption: str, *cells: Cell, run: str = subject.name) -> None:
            rows[caption].append([run, *cells])

        values[subject.name], wrong, drawn = score(context, subject, test, outputs, add)
        if by_group := measures.errors_by_group(test.groups, wrong):
            values[subject.name]["groups"] = by_group
            each = by_group["each, worst first"]
            worst = ", ".join(f"{g['group']} {g['error']:.3g}, {g['images']}" for g in each[:_WORST_GROUPS])
            add(GROUPS, len(each), by_group["mean"], by_group["standard error"], worst)
        answers += answer_rows(context, subject, test, outputs[PROBABILITIES])
        galleries |= answer_galleries(context, subject, test, outputs[PROBABILITIES])
        figures += drawn
    tables = [Table(caption, _COLUMNS[caption], found) for caption, found in rows.items() if found]
    tables += _by_class(values, list(context.class_names)) if kind == "single" else []
    notes = [
        f"Every one of the {len(test):,} test images of {context.dataset.name} counts once; answers.csv has "
        "the answers. One run is one seed: differences of a few tenths of a percent mean little.",
        _NOTES[kind],
        *[_POINTING_NOTE] * bool(rows[POINTING]),
    ]
    parts = {"tables": tables, "galleries": galleries, "figures": figures, "notes": notes}
    return TaskResult(
        "Classification", values, **parts, files={"answers.csv": to_csv(answer_heads(context), answers)}
    )


def _score_classes(context: Context, subject: Subject, test: Split, outputs: dict, add: Callable) -> Scored:
    probabilities, temperature = outputs[PROBABILITIES], subject.predictor.temperature
    found = measures.classify(probabilities, test.labels, context.class_names)
    add(ERRORS, subject.kind, found["error"], found["images"], *subject.parameters)
    after = measures.reliability(probabilities, test.labels)
    before = measures.reliability(measures.uncalibrated(probabilities, temperature), test.labels)
    found["calibration"] = {"temperature": temperature, "before": before.error, "after": after.error}
    add(CALIBRATION, *found["calibration"].values())
    maps = {} if test.masks is None else attention_maps(outputs)
    if test.masks is not None:
        predicted = probabilities.argmax(axis=-1)
        evidence = subject.total_evidence(test.images, predicted, context.options.batch_size)
        maps |= {} if evidence is None else {EVIDENCE.name: evidence}
    found["localization"] = localize(maps, np.asarray(test.masks[:])) if maps else {}
    for name, scores in found["localization"].items():
        add(POINTING, name, *scores.values())
    lines = {"answers": after} if temperature == 1 else {"before": before, "after": after}
    confusion = confusion_figure(np.array(found["confusion"]), context.class_names)
    mark, sure = context.mark(subject), "how often answers are right, by how sure they are"
    figures = [
        Figure(f"confusion{mark}", confusion, f"{subject.name}: confusion matrix"),
        Figure(f"reliability{mark}", reliability_diagram(lines), f"{subject.name}: {sure}"),
    ]
    return found, probabilities.argmax(axis=-1) != test.labels, figures


def _by_class(values: dict[str, dict[str, Any]], names: list[str]) -> list[Table]:
    """The classes that any run errs on, the least recognised first; no table where there are none."""
    first = next(iter(values.values()))
    shares = {name: [found["per_class_accuracy"][name] for found in values.values()] for name in names}
    erring = {name: found for name, found in shares.items() if None not in found and min(found) < 1}
    worst = sorted(erring, key=lambda name: (sum(erring[name]), name))[:_MOST_CLASSES]
    counts = dict(zip(names, np.sum(first["confusion"], axis=1).tolist()))
    columns = {"class": TEXT, "images": INTEGER} | {f"accuracy of {run}": PERCENT for run in values}
    left = f" ({len(worst)} of {len(erring)} classes with errors)" if len(worst) < len(erring) else ""
    rows = [[name, counts[name], *erring[name]] for name in worst]
    return [Table(f"Accuracy by class, where there are errors{left}", columns, rows)] * bool(rows)


def _score_tags(context: Context, subject: Subject, test: Split, outputs: dict, add: Callable) -> Scored:
    found, labels, names = outputs[PROBABILITIES], np.asarray(test.labels), context.class_names
    thresholds = subject.predictor.thresholds
    scores = measures.score_tags(found, labels, thresholds)
    known = sorted((ap, name) for ap, name in zip(scores.ap, names) if ap is not None)
    hardest = ", ".join(f"{name} {ap:.3f}" for ap, name in known[:_HARDEST])
    add(TAGS, subject.kind, scores.mean_ap, scores.mean_f1, scores.exact, len(test), hardest)
    for cells in zip(names, scores.ap, scores.f1, thresholds or [0.5] * len(names), scores.counts):
        add(EACH, *cells)
    tags = {name: {"ap": ap, "f1": f1} for name, ap, f1 in zip(names, scores.ap, scores.f1)}
    values = {"mAP": scores.mean_ap, "F1": scores.mean_f1, "images": len(test), "exact": scores.exact}
    return values | {"tags": tags}, (tags_of(found, thresholds) != labels).mean(axis=1), []


def _score_numbers(context: Context, subject: Subject, test: Split, outputs: dict, add: Callable) -> Scored:
    found, labels = outputs[PROBABILITIES][:, 0], np.asarray(test.labels)
    r2, error = measures.score_numbers(found, labels)
    add(NUMBERS, subject.kind, r2, error, len(test))
    return {"R2": r2, "mean absolute error": error, "images": len(test)}, np.abs(found - labels), []
