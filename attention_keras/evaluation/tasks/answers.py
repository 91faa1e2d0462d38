"""Pictures of right and wrong answers, each with where the network looked."""

import contextlib
from collections.abc import Mapping

import numpy as np

from attention_keras.data.split import Split
from attention_keras.drawing.images import panel, prediction_title
from attention_keras.errors import NotApplicable
from attention_keras.evaluation.explanations.kinds import shown_kinds
from attention_keras.evaluation.options import ClassificationOptions
from attention_keras.evaluation.report.result import Figure, Gallery
from attention_keras.evaluation.report.store import file_name
from attention_keras.evaluation.subjects.subject import Subject
from attention_keras.evaluation.tasks.choice import one_of_each_class
from attention_keras.evaluation.tasks.context import Context

PANELS = "panels"


def answer_galleries(
    context: Context[ClassificationOptions],
    subject: Subject,
    test: Split,
    probabilities: np.ndarray,
    attention: Mapping[str, np.ndarray],
) -> list[Gallery]:
    """One gallery of wrong and one of right answers; the option `panels` says how many pictures in all.

    Args:
        context: of the task.
        subject: who answered.
        test: n images.
        probabilities: `(n, k)`.
        attention: tap -> `(n, h, w)`. Beside it stands the evidence for the predicted class, and for a wrong
            answer the evidence for it rather than for the true class. A network that has neither is shown
            with its Grad-CAM, but for a SavedModel, whose layers cannot be seen.
    """
    labels = np.asarray(test.labels)
    wrong, right = chosen_answers(probabilities, labels, context.options.panels)
    rows = np.concatenate([wrong, right])
    if not len(rows):
        return []
    images = np.asarray(test.images[rows])
    predicted, names = probabilities[rows].argmax(axis=-1), context.class_names
    maps = {tap: level[rows] for tap, level in attention.items()}
    maps, evidence, contrast = _maps(context, subject, images, predicted, labels[rows], maps)
    figures = []
    for place, row in enumerate(rows):
        title, correct = prediction_title(probabilities[row], context.class_names, labels[row])
        levels = {name: level[place] for name, level in maps.items()}
        signed = {}
        if evidence is not None:
            signed[f"for {names[predicted[place]]}"] = evidence[place]
            if not correct:
                signed[f"not {names[labels[row]]}"] = contrast[place]
        picture = panel(images[place], levels, title, correct=correct, evidence=signed)
        figures.append(Figure(f"{place:02d}", picture, title, small=True, right=correct))
    single = len(context.subjects) == 1
    folder = PANELS if single else f"{PANELS}/{file_name(subject.name)}"
    errors = int((probabilities.argmax(axis=-1) != labels).sum())
    parts = [
        (f"{errors:,} of {len(test):,} answers are wrong; the most confident first", figures[: len(wrong)]),
        (f"{len(test) - errors:,} of {len(test):,} answers are right", figures[len(wrong) :]),
    ]
    who = "" if single else f"{subject.name}: "
    return [Gallery(f"{who}{heading}", folder, shown) for heading, shown in parts if shown]


def chosen_answers(
    probabilities: np.ndarray, labels: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Which wrong and which right answers to show, `count` in all.

    Args:
        probabilities: `(n, k)`.
        labels: `(n,)`.
        count: pictures in all; at most half of them are wrong answers where there are enough right ones.

    Returns:
        Indices of wrong answers, the most confident first, and of right answers, of as many classes as
        there is room for.

    Example:
        >>> probabilities = np.array([[0.6, 0.4], [0.9, 0.1], [0.2, 0.8]])
        >>> wrong, right = chosen_answers(probabilities, np.array([1, 1, 1]), 3)
        >>> wrong.tolist(), right.tolist()
        ([1, 0], [2])
    """
    correct = probabilities.argmax(axis=-1) == labels
    wrong, right = np.flatnonzero(~correct), np.flatnonzero(correct)
    wrong = wrong[np.argsort(-probabilities[wrong].max(axis=-1), kind="stable")]
    wrong = wrong[: max(count // 2, count - len(right))]
    return wrong, right[one_of_each_class(labels[right], count - len(wrong))]


def _maps(
    context: Context[ClassificationOptions],
    subject: Subject,
    images: np.ndarray,
    predicted: np.ndarray,
    labels: np.ndarray,
    attention: dict[str, np.ndarray],
) -> tuple[dict[str, np.ndarray], np.ndarray | None, np.ndarray | None]:
    """Maps without signs; the evidence for the prediction; and that for it rather than for the true class."""
    size = context.options.batch_size
    evidence = subject.evidence(images, predicted, size)
    if evidence is None:
        if subject.shows_layers and not attention:
            settings = {"batch_size": size, "seed": context.options.seed}
            with contextlib.suppress(NotApplicable):  # no feature map to explain
                attention = shown_kinds(subject.model)[0].compute(
                    subject.model, images, predicted, **settings
                )
        return attention, None, None
    errors = int((predicted != labels).sum())  # they come first; of a right answer there is no contrast
    if not errors:
        return attention, evidence, None
    true = subject.evidence(images[:errors], labels[:errors], size)
    return attention, evidence, evidence[:errors] - true
