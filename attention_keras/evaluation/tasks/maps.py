"""The paper's figure of attention: the same images down, input and every map of every run across."""

import numpy as np

from attention_keras.drawing.grids import map_grid
from attention_keras.evaluation.explanations.posthoc import cam_parts, class_activation_maps, explain
from attention_keras.evaluation.report.result import Figure, TaskResult
from attention_keras.evaluation.subjects.subject import Subject, explained_layer
from attention_keras.evaluation.tasks.context import Context
from attention_keras.models.outputs import attention_maps


def run(context: Context) -> TaskResult:
    """Draw images of as many classes as there are rows; every column of one run shows the same prediction."""
    config, test = context.config, context.images()
    chosen = _one_of_each_class(np.asarray(test.labels), config.rows)
    images, labels = np.asarray(test.images[chosen]), np.asarray(test.labels)[chosen]
    names = context.class_names
    columns, shared, values = {}, {}, {}
    titles = [{"input": (names[label], None)} for label in labels]
    for subject in context.subjects:
        probabilities = subject.probabilities(images, config.batch_size)
        predicted = probabilities.argmax(axis=-1)
        maps = maps_for_figure(subject, images, predicted, config.batch_size)
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
    picture = map_grid(images, columns, titles, shared=shared if config.shared_scale else None)
    scale = "One scale for all maps of a run" if config.shared_scale else "Each map has its own scale"
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
        (),
        [figure],
        notes,
        (),
        [f"figure with {len(columns)} maps"],
    )


def maps_for_figure(
    subject: Subject, images: np.ndarray, predicted: np.ndarray, batch_size: int
) -> dict[str, np.ndarray]:
    """Attention of each tap; without attention CAM of the predicted class, or else its Grad-CAM.

    Args:
        subject: the run.
        images: `(n, H, W, 3)` pixels.
        predicted: `(n,)` classes.
        batch_size: images at a time.

    Returns:
        Name -> `(n, h, w)`.
    """
    pixels = np.asarray(images, "float32")
    if attention := attention_maps(subject.predictor.predict(images, batch_size)):
        return attention
    if parts := cam_parts(subject.model):
        return {"CAM": class_activation_maps(np.asarray(parts[0](pixels)), parts[1], predicted)}
    layer = explained_layer(subject.model)
    return {
        "Grad-CAM": explain("Grad-CAM", subject.logits_model, layer, pixels, predicted, batch_size=batch_size)
    }


def _one_of_each_class(labels: np.ndarray, rows: int) -> np.ndarray:
    """The first image of each class, by class, then the second of each, and so on: `(rows,)` indices.

    With more classes than rows the classes are spread evenly.
    """
    seen: dict[int, int] = {}
    place = np.empty(len(labels), int)
    for index, label in enumerate(labels.tolist()):
        place[index] = seen[label] = seen.get(label, -1) + 1
    order = np.lexsort((labels, place))
    first = order[: len(seen)]
    if len(first) > rows:
        return first[np.linspace(0, len(first) - 1, rows).round().astype(int)]
    return order[:rows]
