"""Answers to test images: a row for each in a table, and images of some with where the network looked."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from attention_keras.data.split import Split
from attention_keras.drawing.cells import compose
from attention_keras.drawing.images import cells, prediction_title, tags_of
from attention_keras.errors import NotApplicable
from attention_keras.evaluation.kinds import shown_kinds
from attention_keras.evaluation.options import ClassificationOptions
from attention_keras.evaluation.report.result import Figure, Gallery, file_name
from attention_keras.evaluation.report.table import Cell, Column, decimal, integer, text
from attention_keras.evaluation.subjects.dataset import Context, one_of_each_class
from attention_keras.evaluation.subjects.load import Subject
from attention_keras.evaluation.subjects.predictor import TiledPredictor

PANELS = "panels"


def answer_columns(context: Context) -> list[Column]:
    """Heads of the table of answers: of tags the probability of each, of a class its own."""
    columns = [text("run"), integer("image"), text("path"), text("group")]
    if context.dataset.kind == "number":
        return [*columns, decimal("true"), decimal("predicted")]
    probabilities = context.class_names if context.dataset.kind == "multi" else ["probability"]
    return [*columns, text("true"), text("predicted"), *map(decimal, probabilities)]


def answer_rows(context: Context, subject: Subject, test: Split, found: np.ndarray) -> Iterator[list[Cell]]:
    """The run's answer to every test image, from what it predicts `(n, k)`."""
    names, thresholds = context.class_names, subject.predictor.thresholds
    groups = [""] * len(test) if test.groups is None else test.groups
    for number, (path, group, label, answer) in enumerate(zip(paths_of(test), groups, test.labels, found)):
        if context.dataset.kind == "number":
            said = [float(label), float(answer[0])]
        elif context.dataset.kind == "multi":
            both = (label > 0, tags_of(answer, thresholds))
            said = [";".join(names[tag] for tag in np.flatnonzero(tags)) for tags in both] + answer.tolist()
        else:
            said = [names[label], names[answer.argmax()], float(answer.max())]
        yield [subject.name, number, path, group, *said]


def paths_of(split: Split) -> list[str]:
    """The file of each image; empty where the images are no files."""
    return [""] * len(split) if split.files is None else list(map(str, split.files.files))


def answer_galleries(
    context: Context[ClassificationOptions], subject: Subject, test: Split, found: np.ndarray
) -> list[Gallery]:
    """Images with the run's answers; the option `panels` says how many in all.

    Of classes there are a gallery of wrong and one of right answers, of tags and of numbers the first images.
    """
    single, labels, count = len(context.subjects) == 1, np.asarray(test.labels), context.options.panels
    parts = {"the first images, with what speaks for each answer": np.arange(min(count, len(test)))}
    if context.dataset.kind == "single":
        wrong, right = chosen_answers(found, labels, count)
        errors = int((found.argmax(axis=-1) != labels).sum())
        parts = {
            f"{errors:,} of {len(test):,} answers are wrong; the most confident first": wrong,
            f"{len(test) - errors:,} of {len(test):,} answers are right": right,
        }
    folder = PANELS if single else f"{PANELS}/{file_name(subject.name)}"
    galleries, start = [], 0
    for heading, rows in parts.items():
        if len(rows):
            figures = _figures(context, subject, test.take(rows), found[rows], start)
            galleries.append(Gallery(heading if single else f"{subject.name}: {heading}", folder, figures))
        start += len(rows)
    return galleries


def chosen_answers(
    probabilities: np.ndarray, labels: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of wrong answers, the most confident first, and of right answers, of as many classes as possible.

    They are `count` in all, at most half of them wrong answers where there are enough right ones.
    """
    correct = probabilities.argmax(axis=-1) == labels
    wrong, right = np.flatnonzero(~correct), np.flatnonzero(correct)
    wrong = wrong[np.argsort(-probabilities[wrong].max(axis=-1), kind="stable")]
    wrong = wrong[: max(count // 2, count - len(right))]
    return wrong, right[one_of_each_class(labels[right], count - len(wrong))]


def _figures(
    context: Context, subject: Subject, shown: Split, answers: np.ndarray, start: int
) -> list[Figure]:
    """Each image with its maps, numbered from `start`."""
    predictor, names, paths = subject.predictor, context.class_names, paths_of(shown)
    titles = [
        prediction_title(answer, names, label, predictor.activation, predictor.thresholds)
        for answer, label in zip(answers, shown.labels)
    ]
    if isinstance(predictor, TiledPredictor):
        drawn = [predictor.explain_file(Path(path)).draw(0, *title) for path, title in zip(paths, titles)]
    else:
        images = np.asarray(shown.images[:])
        maps = _maps(context, subject, images, answers, np.asarray(shown.labels))
        drawn = [
            compose([cells(image, levels, signed)], title, right)
            for image, (title, right), (levels, signed) in zip(images, titles, maps)
        ]
    return [
        Figure(f"{start + place:02d}", pixels, path, small=True, right=right, title=title)
        for place, (pixels, path, (title, right)) in enumerate(zip(drawn, paths, titles))
    ]


def _maps(
    context: Context, subject: Subject, images: np.ndarray, answers: np.ndarray, labels: np.ndarray
) -> Iterator[tuple[dict, dict]]:
    """Of each image the evidence for its class, for each tag that was found, or for the number; the second.

    Beside a class stands the attention of each tap, the first, and where it is wrong the evidence against the
    true one; a network of layers that has neither is shown with its Grad-CAM. All are explained at once.
    """
    names, kind = context.class_names, context.dataset.kind
    levels, signed = [{} for _ in images], [{} for _ in images]
    rows, asked = np.arange(len(images)), answers.argmax(axis=-1)
    if kind == "multi":
        rows, asked = np.nonzero(tags_of(answers, subject.predictor.thresholds))
    if not len(rows):  # no tag was found on any
        return zip(levels, signed)
    found = subject.explain(images[rows], asked)
    for row, asked_class, total in zip(rows, asked, () if found.total is None else found.total):
        signed[row][f"for {names[asked_class]}"] = total
    if kind == "single":
        wrong, attention = np.flatnonzero(asked != labels), found.attention
        if found.total is not None and len(wrong):
            against = found.total[wrong] - subject.explain(images[wrong], labels[wrong]).total
            for row, total in zip(wrong, against):
                signed[row][f"not {names[labels[row]]}"] = total
        elif found.total is None and not attention and subject.shows_layers:
            with contextlib.suppress(NotApplicable):  # no feature map to explain
                [post_hoc] = shown_kinds(subject.model)
                settings = (context.options.batch_size, context.options.seed)
                attention = post_hoc.compute(subject.model, images, asked, *settings)
        levels = [{tap: level[row] for tap, level in attention.items()} for row in rows]
    return zip(levels, signed)
