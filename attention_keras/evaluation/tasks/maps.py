"""The paper's figure of attention: the same images down, input and every map of every run across."""

import numpy as np

from attention_keras.drawing.grids import map_grid
from attention_keras.evaluation.explanations.kinds import shown_kind
from attention_keras.evaluation.options import MapsOptions
from attention_keras.evaluation.report.result import Figure, TaskResult
from attention_keras.evaluation.tasks.choice import one_of_each_class
from attention_keras.evaluation.tasks.context import Context


def draw_maps(context: Context[MapsOptions]) -> TaskResult:
    """Draw images of as many classes as there are rows; every column of one run shows the same prediction."""
    options, test = context.options, context.images()
    chosen = one_of_each_class(np.asarray(test.labels), options.rows)
    images, labels = np.asarray(test.images[chosen]), np.asarray(test.labels)[chosen]
    names = context.class_names
    columns, shared, values = {}, {}, {}
    titles = [{"input": (names[label], None)} for label in labels]
    for subject in context.subjects:
        probabilities = subject.probabilities(images, options.batch_size)
        predicted = probabilities.argmax(axis=-1)
        settings = {"batch_size": options.batch_size, "seed": options.seed}
        maps = shown_kind(subject.model).compute(subject.model, images, predicted, **settings)
        for place, (name, level) in enumerate(maps.items()):
            head = f"{subject.name}\n{name}"
            columns[head], shared[head] = level, subject.name
            if place == 0:
                for title, row, label in zip(titles, range(len(images)), labels):
                    text = f"{names[predicted[row]]} {probabilities[row, predicted[row]]:.0%}"
                    title[head] = (text, bool(predicted[row] == label))
        values[subject.name] = {
            "predicted": predicted.tolist(),
            "maps": {name: {"size": level.shape[1:], "maximum": level.max()} for name, level in maps.items()},
        }
    picture = map_grid(images, columns, titles, shared=shared if options.shared_scale else None)
    scale = "One scale for all maps of a run" if options.shared_scale else "Each map has its own scale"
    notes = [
        f"The first test image of each of {len(images)} classes of {context.dataset.name}; none was picked "
        f"by hand. {scale}, from dark (low) to bright (high), values in the corner of each cell. Under the "
        "first map of a run is what it predicts, green where it is right.",
        "Attention of a network with attention; CAM of one that ends in average pooling; Grad-CAM of the "
        "predicted class of any other. Fine taps (conv7, conv10) see small neighbourhoods, coarse ones "
        "(conv13) large ones; on birds the paper reads conv10 as parts and conv13 as the whole bird.",
    ]
    values["rows"] = {"images": chosen.tolist(), "labels": labels.tolist()}
    figure = Figure("grid", picture, "Input, and every map of every run")
    return TaskResult(
        "maps",
        "Where the networks look",
        values,
        figures=[figure],
        notes=notes,
        summary=[f"figure with {len(columns)} maps"],
    )
