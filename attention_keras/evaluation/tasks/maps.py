"""The paper's figure of attention: the same images down, input and every map of every run across."""

import numpy as np

from attention_keras.drawing.images import map_grid
from attention_keras.errors import UserError
from attention_keras.evaluation.kinds import EVIDENCE, shown_kinds
from attention_keras.evaluation.options import MapsOptions
from attention_keras.evaluation.result import Figure, TaskResult
from attention_keras.evaluation.subjects.dataset import Context, one_of_each_class
from attention_keras.evaluation.subjects.load import Subject

SECOND = "second"


def measure(context: Context[MapsOptions]) -> TaskResult:
    """Draw images of as many classes as there are rows; every column of one run shows the same prediction."""
    options, test, names = context.options, context.images(), context.class_names
    chosen = one_of_each_class(np.asarray(test.labels), options.rows)
    images, labels = np.asarray(test.images[chosen]), np.asarray(test.labels)[chosen]
    columns, signed, values = {}, [], {}
    titles = [{"input": (names[label], None)} for label in labels]
    for subject in context.subjects:
        probabilities = subject.probabilities(images, options.batch_size)
        predicted, others = probabilities.argmax(axis=-1), _others(context, probabilities)
        maps = _maps(subject, images, predicted, others, options)
        for number, (name, (level, versus)) in enumerate(maps.items()):
            head = f"{subject.name}\n{name}" if len(context.subjects) > 1 else name
            columns[head] = level
            signed += [head] * (versus is not None)
            for row, title in enumerate(titles):
                answer = names[predicted[row]]
                if number == 0:
                    right = bool(predicted[row] == labels[row])
                    title[head] = (f"{answer} {probabilities[row, predicted[row]]:.0%}", right)
                elif versus is not None:
                    title[head] = (f"for {answer}" + (f", not {names[others[row]]}" if versus else ""), None)
        sizes = {name: {"size": m.shape[1:], "largest": np.abs(m).max()} for name, (m, _) in maps.items()}
        values[subject.name] = {"predicted": predicted.tolist(), "maps": sizes}
    values["rows"] = {"images": chosen.tolist(), "labels": labels.tolist()}
    notes = [
        f"{len(images)} test images of {len(np.unique(labels))} classes of {context.dataset.name}, the first "
        "of each class first; none was picked by hand. Each map has its own scale, with its values below. "
        "Grad-CAM stands for a network that has neither attention nor evidence.",
    ]
    if signed:
        notes.append(
            "Evidence: how much each place adds to the logit of the predicted class, above the mean of all; "
            "red speaks for the class, blue against it. All taps are added up."
        )
    if signed and options.versus:
        notes.append(
            f"Rather than {options.versus}: the evidence for the predicted class less the evidence for that "
            "one, which adds up to the difference of the two logits."
        )
    figure = Figure(
        "grid", map_grid(images, columns, titles, signed=signed), "Input, and every map of every run"
    )
    return TaskResult("Where the networks look", values, figures=[figure], notes=notes)


def _maps(subject: Subject, images, predicted, others, options) -> dict[str, tuple[np.ndarray, bool | None]]:
    """The maps of one run by what is written over them; of evidence, whether it is against another class."""
    kinds, size = shown_kinds(subject.model), options.batch_size
    maps: dict[str, tuple[np.ndarray, bool | None]] = {}
    for kind in kinds:
        if not kind.signed:
            levels = kind.compute(subject.model, images, predicted, size, options.seed)
            maps |= {tap: (level, None) for tap, level in levels.items()}
    if EVIDENCE in kinds:
        evidence = subject.total_evidence(images, predicted, size)
        maps[EVIDENCE.name] = (evidence, False)
        if options.versus:
            rival = subject.total_evidence(images, others, size)
            maps[f"rather than {options.versus}"] = (evidence - rival, True)
    return maps


def _others(context: Context[MapsOptions], probabilities: np.ndarray) -> np.ndarray:
    """The class that the predicted one is compared with, for each image: by default the second."""
    versus, names = context.options.versus or SECOND, context.class_names
    if versus == SECOND:
        return np.argsort(-probabilities, axis=-1, kind="stable")[:, 1]
    if versus not in names:
        raise UserError(f"versus must be {SECOND} or a class: {', '.join(names)}; got {versus!r}")
    return np.full(len(probabilities), names.index(versus))
