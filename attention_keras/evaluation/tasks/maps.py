"""The paper's figure of attention: the same images down, input and every map of every run across."""

import numpy as np

from attention_keras.drawing.images import map_grid
from attention_keras.errors import UserError
from attention_keras.evaluation.kinds import EVIDENCE, shown_kinds
from attention_keras.evaluation.options import MapsOptions
from attention_keras.evaluation.report.result import Figure, TaskResult
from attention_keras.evaluation.subjects.dataset import Context, one_of_each_class
from attention_keras.evaluation.subjects.load import Subject

SECOND = "second"
Maps = dict[str, np.ndarray]


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
        maps, evidence = _maps(subject, images, predicted, others, options)
        for number, (name, level) in enumerate([*maps.items(), *evidence.items()]):
            head = f"{subject.name}\n{name}" if len(context.subjects) > 1 else name
            columns[head] = level
            signed += [head] * (name in evidence)
            for row, title in enumerate(titles):
                answer = names[predicted[row]]
                if number == 0:
                    right = bool(predicted[row] == labels[row])
                    title[head] = (f"{answer} {probabilities[row, predicted[row]]:.0%}", right)
                elif name in evidence:
                    than = "" if name == EVIDENCE.name else f", not {names[others[row]]}"
                    title[head] = (f"for {answer}{than}", None)
        sizes = {
            name: {"size": m.shape[1:], "largest": np.abs(m).max()} for name, m in (maps | evidence).items()
        }
        values[subject.name] = {"predicted": predicted.tolist(), "maps": sizes}
    values["rows"] = {"images": chosen.tolist(), "labels": labels.tolist()}
    notes = [
        f"{len(images)} test images of {len(np.unique(labels))} classes of {context.dataset.name}, the first "
        "of each class first; none was picked by hand. Each map has its own scale, from dark (low) to bright "
        "(high), with its values in the corner. Under the first map is the prediction, green where right.",
        "Attention of a network with attention; Grad-CAM of the predicted class of one that has neither "
        "attention nor evidence. Fine taps (conv7, conv10) see small neighbourhoods, coarse ones "
        "(conv13) large ones; on birds the paper reads conv10 as parts and conv13 as the whole bird.",
    ]
    if signed:
        notes.append(
            "Evidence: how much each position adds to the logit of the predicted class, above the mean "
            "logit of all classes. Red speaks for the class, blue against it, and the map's sum is the logit "
            "(but for a constant of the classifier). All taps are added up. The scale goes as far up as down."
        )
    if signed and options.versus:
        notes.append(
            f"Rather than {options.versus}: the evidence for the predicted class less the evidence for that "
            "one, which adds up to the difference of the two logits."
        )
    image = map_grid(images, columns, titles, signed=signed)
    figure = Figure("grid", image, "Input, and every map of every run")
    return TaskResult("maps", "Where the networks look", values, figures=[figure], notes=notes)


def _maps(subject: Subject, images, predicted, others, options: MapsOptions) -> tuple[Maps, Maps]:
    """The maps of one run without signs, and the evidence, by what is written over them."""
    kinds, size = shown_kinds(subject.model), options.batch_size
    maps: Maps = {}
    for kind in kinds:
        if not kind.signed:
            maps |= kind.compute(subject.model, images, predicted, size, options.seed)
    if EVIDENCE not in kinds:
        return maps, {}
    evidence = {EVIDENCE.name: subject.total_evidence(images, predicted, size)}
    if options.versus:
        other = subject.total_evidence(images, others, size)
        evidence[f"rather than {options.versus}"] = evidence[EVIDENCE.name] - other
    return maps, evidence


def _others(context: Context[MapsOptions], probabilities: np.ndarray) -> np.ndarray:
    """The class that the predicted one is compared with, for each image: by default the second."""
    versus, names = context.options.versus or SECOND, context.class_names
    if versus == SECOND:
        return np.argsort(-probabilities, axis=-1, kind="stable")[:, 1]
    if versus not in names:
        raise UserError(f"versus must be {SECOND} or a class: {', '.join(names)}; got {versus!r}")
    return np.full(len(probabilities), names.index(versus))
