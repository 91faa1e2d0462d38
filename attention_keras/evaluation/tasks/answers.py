"""Answers to test images: a row for each in a table, and images of some with where the network looked."""

import contextlib
from pathlib import Path

import numpy as np

from attention_keras.data.split import Split
from attention_keras.drawing.images import panel, prediction_title
from attention_keras.errors import NotApplicable
from attention_keras.evaluation.explanations.kinds import shown_kinds
from attention_keras.evaluation.options import ClassificationOptions
from attention_keras.evaluation.report.result import Figure, Gallery, file_name
from attention_keras.evaluation.report.table import Cell, decimal, integer, text
from attention_keras.evaluation.subjects.predictor import TiledPredictor
from attention_keras.evaluation.subjects.subject import Subject
from attention_keras.evaluation.tasks.context import Context, one_of_each_class

PANELS = "panels"
COLUMNS = [
    text("run"),
    integer("image"),
    *map(text, ("path", "group", "true", "predicted")),
    decimal("probability"),
]


def answer_rows(run: str, test: Split, probabilities: np.ndarray, class_names) -> list[list[Cell]]:
    """The run's answer to every test image, in the order of `COLUMNS`."""
    groups = [""] * len(test) if test.groups is None else test.groups
    each = enumerate(zip(paths_of(test), groups, test.labels, probabilities))
    return [
        [run, number, path, group, class_names[label], class_names[row.argmax()], float(row.max())]
        for number, (path, group, label, row) in each
    ]


def paths_of(split: Split) -> list[str]:
    """The file of each image; empty where the images are no files."""
    return [""] * len(split) if split.files is None else list(map(str, split.files.files))


def answer_galleries(
    context: Context[ClassificationOptions],
    subject: Subject,
    test: Split,
    probabilities: np.ndarray,
) -> list[Gallery]:
    """One gallery of wrong and one of right answers; the option `panels` says how many images in all.

    Beside the attention of each tap stands the evidence for the predicted class, and for a wrong answer the
    evidence for it rather than for the true class. A network that has neither is shown with its Grad-CAM, but
    for a SavedModel, whose layers cannot be seen.
    """
    labels = np.asarray(test.labels)
    wrong, right = chosen_answers(probabilities, labels, context.options.panels)
    rows = np.concatenate([wrong, right])
    if not len(rows):
        return []
    shown, names = test.take(rows), context.class_names
    paths, predicted = paths_of(shown), probabilities[rows].argmax(axis=-1)
    large = subject.predictor if isinstance(subject.predictor, TiledPredictor) else None
    if large is None:
        images = np.asarray(shown.images[:])
        found = subject.explain(images, predicted)
        maps = found.attention
        if not maps and found.total is None:
            maps = _post_hoc(context, subject, images, predicted)
        if found.total is not None and len(wrong):
            contrast = found.total[: len(wrong)] - subject.explain(images[: len(wrong)], labels[wrong]).total
    figures = []
    for number, row in enumerate(rows):
        title, correct = prediction_title(probabilities[row], names, labels[row])
        if large is not None:
            image = large.explain_file(Path(paths[number])).draw(0, title, correct)
        else:
            levels = {name: level[number] for name, level in maps.items()}
            signed = {}
            if found.total is not None:
                signed[f"for {names[predicted[number]]}"] = found.total[number]
                if not correct:
                    signed[f"not {names[labels[row]]}"] = contrast[number]
            image = panel(images[number], levels, title, correct=correct, evidence=signed)
        figures.append(Figure(f"{number:02d}", image, paths[number], small=True, right=correct, title=title))
    single = len(context.subjects) == 1
    folder = PANELS if single else f"{PANELS}/{file_name(subject.name)}"
    errors = int((probabilities.argmax(axis=-1) != labels).sum())
    parts = [
        (f"{errors:,} of {len(test):,} answers are wrong; the most confident first", figures[: len(wrong)]),
        (f"{len(test) - errors:,} of {len(test):,} answers are right", figures[len(wrong) :]),
    ]
    who = "" if single else f"{subject.name}: "
    return [Gallery(f"{who}{heading}", folder, part) for heading, part in parts if part]


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


def _post_hoc(context: Context, subject: Subject, images: np.ndarray, predicted: np.ndarray) -> dict:
    """What stands for a network that has no maps of its own; nothing where its layers cannot be seen."""
    if subject.shows_layers:
        settings = {"batch_size": context.options.batch_size, "seed": context.options.seed}
        with contextlib.suppress(NotApplicable):  # no feature map to explain
            [kind] = shown_kinds(subject.model)
            return kind.compute(subject.model, images, predicted, **settings)
    return {}
