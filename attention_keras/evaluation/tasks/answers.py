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
from attention_keras.evaluation.predictions.answers import evidence_of_tags
from attention_keras.evaluation.result import Figure
from attention_keras.evaluation.subjects.dataset import Context, one_of_each_class
from attention_keras.evaluation.subjects.load import Subject
from attention_keras.evaluation.subjects.predictor import TiledPredictor
from attention_keras.evaluation.table import Cell


def answer_heads(context: Context) -> list[str]:
    """Of the table of answers; tags have the probability of each, a class its own."""
    probabilities = {"single": ["probability"], "multi": context.class_names, "number": []}
    return ["run", "image", "path", "group", "true", "predicted", *probabilities[context.dataset.kind]]


def answer_rows(context: Context, subject: Subject, test: Split, found: np.ndarray) -> Iterator[list[Cell]]:
    """The run's answer to every test image, from what it predicts `(n, k)`."""
    names, thresholds = context.class_names, subject.predictor.thresholds
    groups = [""] * len(test) if test.groups is None else test.groups
    for number, (path, group, label, answer) in enumerate(zip(_paths(test), groups, test.labels, found)):
        if context.dataset.kind == "number":
            said = [float(label), float(answer[0])]
        elif context.dataset.kind == "multi":
            both = (label > 0, tags_of(answer, thresholds))
            said = [";".join(names[tag] for tag in np.flatnonzero(tags)) for tags in both] + answer.tolist()
        else:
            said = [names[label], names[answer.argmax()], float(answer.max())]
        yield [subject.name, number, path, group, *said]


def _paths(split: Split) -> list[str]:
    """The file of each image; empty where the images are no files."""
    return [""] * len(split) if split.files is None else list(map(str, split.files.files))


def answer_galleries(
    context: Context[ClassificationOptions], subject: Subject, test: Split, found: np.ndarray
) -> dict[str, list[Figure]]:
    """Of classes wrong answers and right ones, of tags and of numbers the first images; by their heading."""
    labels, count = np.asarray(test.labels), context.options.panels
    parts = {"the first images, with what speaks for each answer": np.arange(min(count, len(test)))}
    if context.dataset.kind == "single":
        wrong, right = chosen_answers(found, labels, count)
        errors = int((found.argmax(axis=-1) != labels).sum())
        parts = {
            f"{errors:,} of {len(test):,} answers are wrong; the most confident first": wrong,
            f"{len(test) - errors:,} of {len(test):,} answers are right": right,
        }
    run = "" if len(context.subjects) == 1 else f"{subject.name}: "
    return {
        f"{run}{heading}": _figures(context, subject, test.take(rows), found[rows])
        for heading, rows in parts.items()
        if len(rows)
    }


def chosen_answers(probabilities, labels: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of wrong answers, the most confident, and of right ones of many classes, if possible half each."""
    correct = probabilities.argmax(axis=-1) == labels
    wrong, right = np.flatnonzero(~correct), np.flatnonzero(correct)
    wrong = wrong[np.argsort(-probabilities[wrong].max(axis=-1), kind="stable")]
    wrong = wrong[: max(count // 2, count - len(right))]
    return wrong, right[one_of_each_class(labels[right], count - len(wrong))]


def _figures(context: Context, subject: Subject, shown: Split, answers: np.ndarray) -> list[Figure]:
    """Each image with its maps."""
    predictor, paths = subject.predictor, _paths(shown)
    titles = [
        prediction_title(answer, context.class_names, label, predictor.activation, predictor.thresholds)
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
    return [Figure("", *one, right, title) for *one, (title, right) in zip(drawn, paths, titles)]


def _maps(context: Context, subject: Subject, images: np.ndarray, answers: np.ndarray, labels: np.ndarray):
    """Of each image its maps, and the evidence: for its class, for each of its tags, or for its number.

    A class has the attention of each tap beside it, or Grad-CAM where there is neither; a wrong one also the
    evidence for it rather than for the true one. All images are explained at once.
    """
    names, single = context.class_names, context.dataset.kind == "single"
    if context.dataset.kind == "multi":
        signed = evidence_of_tags(subject.explain, images, answers, subject.predictor.thresholds, names)
        return [({}, evidence) for evidence in signed]
    asked = answers.argmax(axis=-1)
    found = subject.explain(images, asked)
    levels, signed = found.attention if single else {}, [{} for _ in images]
    for row, total in enumerate(() if found.total is None else found.total):
        signed[row][f"for {names[asked[row]]}"] = total
    wrong = np.flatnonzero(asked != labels) if single else []
    if len(wrong) and found.total is not None:
        against = found.total[wrong] - subject.explain(images[wrong], labels[wrong]).total
        for row, total in zip(wrong, against):
            signed[row][f"not {names[labels[row]]}"] = total
    if single and found.total is None and not levels and subject.shows_layers:
        with contextlib.suppress(NotApplicable):  # no feature map to explain
            [post_hoc] = shown_kinds(subject.model)
            settings = (context.options.batch_size, context.options.seed)
            levels = post_hoc.compute(subject.model, images, asked, *settings)
    return [({tap: level[row] for tap, level in levels.items()}, signed[row]) for row in range(len(images))]
