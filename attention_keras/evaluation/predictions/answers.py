"""Answers for image files, a batch at a time: a folder of any size needs the memory of a few batches."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from attention_keras.data.geometry import PictureFormat
from attention_keras.data.images import UnreadableImage, check_channels, read_image
from attention_keras.errors import UserError
from attention_keras.evaluation.subjects.predictor import Predictor, TiledPredictor
from attention_keras.explaining.explanation import Explanation
from attention_keras.models.outputs import PROBABILITIES

AHEAD = 2
"""Batches that are read before they are asked for."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What a model says of one image file: probabilities `(k,)`, or the reason why it could not be read.

    Where it was asked to explain, `explanation` is that of the whole batch, and `row` its place there.
    """

    path: Path
    probabilities: np.ndarray | None = None
    reason: str | None = None
    explanation: Explanation | None = None
    row: int = 0


def predict_files(
    predictor: Predictor, files: Sequence[Path], *, batch_size: int = 32, explain: bool = True
) -> Iterator[Answer]:
    """One answer a file, in order. Images are read while the batches before are predicted."""
    if isinstance(predictor, TiledPredictor):
        yield from (_of_tiles(predictor, file, explain) for file in files)
        return
    *size, channels = predictor.image_shape
    if not all(size):
        raise UserError(
            "the model takes images of any size, and predict needs a fixed size, or a run that reads tiles"
        )
    check_channels(channels)
    to = PictureFormat(tuple(size), predictor.resize)
    batch_size = min(batch_size, len(files) or 1)
    batches = [files[start : start + batch_size] for start in range(0, len(files), batch_size)]
    with ThreadPoolExecutor() as readers:

        def read(batch: Sequence[Path]):
            return [readers.submit(_read, file, to, channels) for file in batch]

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


def _read(file: Path, to: PictureFormat, channels: int) -> np.ndarray | str:
    """The pixels, or why there are none."""
    try:
        return read_image(file, to, channels)
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
    row = 0
    for path, image in zip(batch, images):
        if isinstance(image, str):
            yield Answer(path, reason=image)
        else:
            yield Answer(path, probabilities[row], explanation=explanation, row=row)
            row += 1
