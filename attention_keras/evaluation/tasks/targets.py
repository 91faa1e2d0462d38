"""Classification of images with tags, or with a number: their scores, and the answer to each image."""

import numpy as np

from attention_keras.drawing.images import panel, prediction_title, tags_of
from attention_keras.evaluation.options import ClassificationOptions
from attention_keras.evaluation.report.result import Figure, Gallery, TaskResult, file_name
from attention_keras.evaluation.report.table import Cell, Table, decimal, integer, percent, text
from attention_keras.evaluation.subjects.subject import Subject
from attention_keras.evaluation.tasks.answers import PANELS, paths_of
from attention_keras.evaluation.tasks.context import Context
from attention_keras.evaluation.tasks.groups import GROUPS, errors_by_group, group_row
from attention_keras.measures.tags import score_numbers, score_tags

_TAGS = [
    *map(text, ("run", "network")),
    *map(decimal, ("mAP", "F1")),
    percent("all tags right"),
    integer("images"),
    text("hardest tags"),
]
_EACH = [
    *map(text, ("run", "tag")),
    *map(decimal, ("average precision", "F1", "threshold")),
    integer("images"),
]
_NUMBERS = [*map(text, ("run", "network")), *map(decimal, ("R2", "mean absolute error")), integer("images")]
_HARDEST = 3


def measure_targets(context: Context[ClassificationOptions]) -> TaskResult:
    """Scores of every run on every test image."""
    test, names = context.images(), context.class_names
    of_tags = context.dataset.kind == "multi"
    values, rows, each, groups, answers, galleries = {}, [], [], [], [], []
    for subject in context.subjects:
        found = subject.predictor.predict(test.images, context.options.batch_size)["probabilities"]
        labels, thresholds = np.asarray(test.labels), subject.predictor.thresholds
        if of_tags:
            scores = score_tags(found, labels, thresholds)
            least = thresholds or [0.5] * len(names)
            wrong = (tags_of(found, thresholds) != labels).mean(axis=1)
            measured = {"mAP": scores.mean_ap, "F1": scores.mean_f1}
            known = sorted((ap, name) for ap, name in zip(scores.ap, names) if ap is not None)
            hardest = ", ".join(f"{name} {ap:.3f}" for ap, name in known[:_HARDEST])
            rows.append([subject.name, subject.kind, *measured.values(), scores.exact, len(test), hardest])
            columns = (names, scores.ap, scores.f1, least, scores.counts)
            each += [[subject.name, *cells] for cells in zip(*columns)]
            tags = {name: {"ap": ap, "f1": f1} for name, ap, f1 in zip(names, scores.ap, scores.f1)}
            values[subject.name] = measured | {"images": len(test), "exact": scores.exact, "tags": tags}
        else:
            scores = score_numbers(found[:, 0], labels)
            wrong = np.abs(found[:, 0] - labels)
            measured = {"R2": scores.r2, "mean absolute error": scores.mean_absolute_error}
            rows.append([subject.name, subject.kind, *measured.values(), len(test)])
            values[subject.name] = measured | {"images": len(test)}
        by_group = errors_by_group(test, wrong)
        if by_group:
            groups.append(group_row(subject.name, by_group))
            values[subject.name]["groups"] = by_group
        answers += _answers(subject, test, found)
        galleries += _gallery(context, subject, test, found)
    tables = [Table("Tags" if of_tags else "Numbers", _TAGS if of_tags else _NUMBERS, rows)]
    if each:
        tables.append(Table("Each tag", _EACH, each))
    if groups:
        tables.append(Table("Groups", GROUPS, groups))
    note = (
        "mAP: mean over the tags of the average precision; F1 at the threshold of each tag, chosen on "
        "validation images. The error of an image, by which groups are compared, is its share of wrong tags."
        if of_tags
        else "R2: share of the numbers' variance that is explained; 0 is to answer their mean. The error of "
        "an image, by which groups are compared, is how far the answer is from its number."
    )
    return TaskResult(
        "classification",
        "Classification",
        values,
        tables=tables,
        galleries=galleries,
        notes=[f"Every one of the {len(test):,} test images of {context.dataset.name} counts once. {note}"],
        further_tables={"answers.csv": Table("Answers", _answer_columns(context), answers)},
        folders=[PANELS],
    )


def _answer_columns(context: Context):
    columns = [text("run"), integer("image"), *map(text, ("path", "group"))]
    if context.dataset.kind == "number":
        return [*columns, decimal("true"), decimal("predicted")]
    return [*columns, *map(text, ("true", "predicted")), *map(decimal, context.class_names)]


def _answers(subject: Subject, test, found: np.ndarray) -> list[list[Cell]]:
    """A row for each test image: of tags also the probability of each."""
    paths, labels = paths_of(test), np.asarray(test.labels)
    groups = [""] * len(test) if test.groups is None else test.groups
    names = subject.predictor.class_names
    rows = []
    for number, (path, group, label, answer) in enumerate(zip(paths, groups, labels, found)):
        if labels.ndim == 1:
            said = [float(label), float(answer[0])]
        else:
            both = (label > 0, tags_of(answer, subject.predictor.thresholds))
            said = [";".join(names[tag] for tag in np.flatnonzero(tags)) for tags in both]
            said += [float(value) for value in answer]
        rows.append([subject.name, number, path, group, *said])
    return rows


def _gallery(context: Context, subject: Subject, test, found: np.ndarray) -> list[Gallery]:
    """The first images with the evidence for each tag that was found, or for the number."""
    predictor, names, figures = subject.predictor, context.class_names, []
    shown = test.take(slice(context.options.panels))
    for number, (image, label) in enumerate(zip(np.asarray(shown.images[:]), np.asarray(shown.labels))):
        answer = found[number]
        title, right = prediction_title(answer, names, label, predictor.activation, predictor.thresholds)
        asked = np.flatnonzero(tags_of(answer, predictor.thresholds)) if label.ndim else [0]
        maps = {f"for {names[tag]}": predictor.explain(image[None], [int(tag)]).total for tag in asked}
        maps = {head: level[0] for head, level in maps.items() if level is not None}
        pixels = panel(image, {}, title, correct=right, evidence=maps)
        path = paths_of(shown)[number]
        figures.append(Figure(f"{number:02d}", pixels, path, small=True, right=right, title=title))
    single = len(context.subjects) == 1
    folder = PANELS if single else f"{PANELS}/{file_name(subject.name)}"
    who = "" if single else f"{subject.name}: "
    return (
        [Gallery(f"{who}the first images, with what speaks for each answer", folder, figures)]
        if figures
        else []
    )
