"""The paper's figure of attention: the same images down, input and every map of every run across."""

import numpy as np

from attention_keras.drawing.images import map_grid
from attention_keras.errors import UserError
from attention_keras.evaluation.explanations.kinds import EVIDENCE, shown_kinds
from attention_keras.evaluation.explanations.own import total_evidence
from attention_keras.evaluation.options import MapsOptions
from attention_keras.evaluation.report.result import Figure, TaskResult
from attention_keras.evaluation.subjects.subject import Subject
from attention_keras.evaluation.tasks.context import Context, one_of_each_class

SECOND = "second"


def measure(context: Context[MapsOptions]) -> TaskResult:
    """Draw images of as many classes as there are rows; every column of one run shows the same prediction."""
    options, test = context.options, context.images()
    chosen = one_of_each_class(np.asarray(test.labels), options.rows)
    images, labels = np.asarray(test.images[chosen]), np.asarray(test.labels)[chosen]
    names = context.class_names
    columns, signed, values = {}, [], {}
    titles = [{"input": (names[label], None)} for label in labels]
    for subject in context.subjects:
        probabilities = subject.probabilities(images, options.batch_size)
        predicted = probabilities.argmax(axis=-1)
        others = _others(context, probabilities)
        maps, evidence = _maps(context, subject, images, predicted, others)
        for number, (name, level) in enumerate([*maps.items(), *evidence.items()]):
            head = f"{subject.name}\n{name}" if len(context.subjects) > 1 else name
            columns[head] = level
            if name in evidence:
                signed.append(head)
                for title, asked, other in zip(titles, predicted, others):
                    than = f", not {names[other]}" if name != EVIDENCE.name else ""
                    title[head] = (f"for {names[asked]}{than}", None)
            if number == 0:
                for title, row, label in zip(titles, range(len(images)), labels):
                    text = f"{names[predicted[row]]} {probabilities[row, predicted[row]]:.0%}"
                    title[head] = (text, bool(predicted[row] == label))
        values[subject.name] = {
            "predicted": predicted.tolist(),
            "maps": {name: {"size": level.shape[1:], "maximum": level.max()} for name, level in maps.items()},
        }
        values[subject.name]["maps"] |= {
            name: {"size": level.shape[1:], "largest": np.abs(level).max()}
            for name, level in evidence.items()
        }
    image = map_grid(images, columns, titles, signed=signed)
    values["rows"] = {"images": chosen.tolist(), "labels": labels.tolist()}
    figure = Figure("grid", image, "Input, and every map of every run")
    return TaskResult(
        "maps",
        "Where the networks look",
        values,
        figures=[figure],
        notes=_notes(context, len(images), len(np.unique(labels)), bool(signed)),
        summary=[f"figure with {len(columns)} maps"],
    )


def _maps(
    context: Context[MapsOptions],
    subject: Subject,
    images: np.ndarray,
    predicted: np.ndarray,
    others: np.ndarray,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The maps of one run without signs, and the evidence, by what is written over them."""
    options, model = context.options, subject.model
    kinds = shown_kinds(model)
    maps: dict[str, np.ndarray] = {}
    settings = {"batch_size": options.batch_size, "seed": options.seed}
    for kind in kinds:
        maps |= {} if kind.signed else kind.compute(model, images, predicted, **settings)
    if EVIDENCE not in kinds:
        return maps, {}
    predicted_class = total_evidence(model, images, predicted, options.batch_size)
    evidence = {EVIDENCE.name: predicted_class}
    if options.versus:
        other_class = total_evidence(model, images, others, options.batch_size)
        evidence[f"rather than {options.versus}"] = predicted_class - other_class
    return maps, evidence


def _others(context: Context[MapsOptions], probabilities: np.ndarray) -> np.ndarray:
    """The class that the predicted one is compared with, for each image: by default the second."""
    versus, names = context.options.versus or SECOND, context.class_names
    if versus == SECOND:
        return np.argsort(-probabilities, axis=-1, kind="stable")[:, 1]
    if versus not in names:
        raise UserError(f"versus must be {SECOND} or a class: {', '.join(names)}; got {versus!r}")
    return np.full(len(probabilities), names.index(versus))


def _notes(context: Context[MapsOptions], images: int, classes: int, evidence: bool) -> list[str]:
    options = context.options
    notes = [
        f"{images} test images of {classes} classes of {context.dataset.name}, the first of each class "
        "first; none was picked by hand. Each map has its own scale, from dark (low) to bright (high), with "
        "its values in the corner. Under the first map is the prediction, green where right.",
        "Attention of a network with attention; Grad-CAM of the predicted class of one that has neither "
        "attention nor evidence. Fine taps (conv7, conv10) see small neighbourhoods, coarse ones "
        "(conv13) large ones; on birds the paper reads conv10 as parts and conv13 as the whole bird.",
    ]
    if evidence:
        notes.append(
            "Evidence: how much each position adds to the logit of the predicted class, above the mean "
            "logit of all classes. Red speaks for the class, blue against it, and the map's sum is the logit "
            "(but for a constant of the classifier). All taps are added up. The scale goes as far up as down."
        )
    if evidence and options.versus:
        notes.append(
            f"Rather than {options.versus}: the evidence for the predicted class less the evidence for that "
            "one, which adds up to the difference of the two logits."
        )
    return notes
