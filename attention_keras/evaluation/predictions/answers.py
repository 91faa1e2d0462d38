"""Answers for image files, a batch at a time: a folder of any size needs the memory of a few batches."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from attention_keras.data.geometry import PictureFormat
from attention_keras.data.images import UnreadableImage, model_channels, read_image
from attention_keras.drawing.images import tags_of
from attention_keras.errors import UserError
from attention_keras.evaluation.subjects.predictor import Predictor, TiledPredictor
from attention_keras.explaining.explanation import Explanation
from attention_keras.models.outputs import PROBABILITIES

AHEAD = 2
"""Batches that are read before they are asked for."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What a model says of one image file: probabilities `(k,)`, or the reason why it could not be read.

    Where it was asked to explain, `explanation` is that of the whole batch, and `row` its place there. Of a
    model of tags, `tags` are those of the image, the likeliest first, each with its evidence `(H, W)`.
    """

    path: Path
    probabilities: np.ndarray | None = None
    reason: str | None = None
    explanation: Explanation | None = None
    row: int = 0
    activation: str = "softmax"
    tags: Mapping[int, np.ndarray | None] = field(default_factory=dict)


def predict_files(
    predictor: Predictor, files: Sequence[Path], *, batch_size: int = 32, explain: bool = True
) -> Iterator[Answer]:
    """One answer a file, in order. Images are read while the batches before are predicted.

    Raises:
        UserError: at once, before the first answer, the model takes images of any size.
    """
    if isinstance(predictor, TiledPredictor):
        return (_of_tiles(predictor, file, explain) for file in files)
    *size, channels = predictor.image_shape
    if not all(size):
        raise UserError("the model takes images of any size; give predict the run, if it reads tiles")
    to = PictureFormat(tuple(size), predictor.resize, predictor.value_range, model_channels(channels))
    return _in_batches(predictor, files, to, batch_size, explain)


def _in_batches(
    predictor: Predictor, files: Sequence[Path], to: PictureFormat, batch_size: int, explain: bool
) -> Iterator[Answer]:
    batch_size = min(batch_size, len(files) or 1)
    batches = [files[start : start + batch_size] for start in range(0, len(files), batch_size)]
    with ThreadPoolExecutor() as readers:

        def read(batch: Sequence[Path]):
            return [readers.submit(_read, file, to) for file in batch]

        waiting = [read(batch) for batch in batches[:AHEAD]]
        for number, batch in enumerate(batches):
            images = [image.result() for image in waiting.pop(0)]
            waiting += map(read, batches[number + AHEAD : number + AHEAD + 1])
            yield from _answers(predictor, batch, images, batch_size, explain)


def _of_tiles(predictor: TiledPredictor, file: Path, explain: bool) -> Answer:
    try:
        if not explain:
            return Answer(file, predictor.probabilities_of_file(file))
        explanation = predictor.explain_file(file)
        return Answer(file, explanation.probabilities[0], explanation=explanation)
    except UnreadableImage as reason:
        return Answer(file, reason=str(reason))


def _read(file: Path, to: PictureFormat) -> np.ndarray | str:
    """The pixels, or why there are none."""
    try:
        return read_image(file, to)
    except UnreadableImage as reason:
        return str(reason)


def _answers(predictor, batch, images: list, batch_size: int, explain: bool) -> Iterator[Answer]:
    good = [image for image in images if not isinstance(image, str)]
    explanation = probabilities = None
    if good:
        # Every batch is as large as the first, so that nothing is compiled for another size.
        pixels = np.stack(good + [good[-1]] * (batch_size - len(good)))
        if explain:
            explanation = predictor.explain(pixels)
            probabilities = explanation.probabilities
        else:
            probabilities = predictor.predict(pixels, batch_size)[PROBABILITIES]
    tags, evidence = _tags(predictor, pixels, probabilities, len(good), explain) if good else (None, {})
    row = 0
    for path, image in zip(batch, images):
        if isinstance(image, str):
            yield Answer(path, reason=image, activation=predictor.activation)
        else:
            answer = Answer(path, probabilities[row], None, explanation, row, predictor.activation)
            if tags is not None:
                likely = sorted(
                    np.flatnonzero(tags[row]).tolist(), key=lambda tag: -answer.probabilities[tag]
                )
                maps = {tag: evidence[tag] for tag in likely}
                maps = {tag: None if level is None else level[row] for tag, level in maps.items()}
                answer = replace(answer, tags=maps)
            yield answer
            row += 1


def _tags(predictor: Predictor, pixels, probabilities, count: int, explain: bool):
    """The tags of the first `count` images `(n, k)`, and the evidence `(n, H, W)` for each that one has."""
    if predictor.activation != "sigmoid":
        return None, {}
    tags = tags_of(probabilities[:count], predictor.thresholds)
    there = np.flatnonzero(tags.any(axis=0)).tolist()
    if not explain:
        return tags, dict.fromkeys(there)
    return tags, {tag: predictor.explain(pixels, [tag] * len(pixels)).total for tag in there}
