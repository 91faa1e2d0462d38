"""Answers for picture files, a batch at a time: a folder of any size needs the memory of one batch."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from attention_keras.data.geometry import MEGAPIXELS, PictureFormat
from attention_keras.data.image_files import UnreadableImage, read_image
from attention_keras.errors import UserError
from attention_keras.evaluation.subjects.predictor import Predictor
from attention_keras.models.outputs import attention_maps


@dataclass(frozen=True, eq=False)
class Answer:
    """What a model says of one picture.

    Attributes:
        path: of the file.
        probabilities: `(k,)`; None where the file could not be read.
        reason: why it could not be read.
        pixels: `(H, W, 3)` uint8, as the model saw them.
        attention: tap -> `(h, w)`.
        evidence: for the predicted class, `(H, W)`; None where the model has none.
    """

    path: Path
    probabilities: np.ndarray | None = None
    reason: str | None = None
    pixels: np.ndarray | None = None
    attention: dict[str, np.ndarray] = field(default_factory=dict)
    evidence: np.ndarray | None = None


def predict_files(
    predictor: Predictor,
    files: Sequence[Path],
    *,
    batch_size: int = 32,
    explain: bool = True,
    megapixels: int = MEGAPIXELS,
) -> Iterator[Answer]:
    """One answer a file, in order.

    Pictures are read while the batch before is predicted.

    Args:
        predictor: of a run, a `.keras` file or a SavedModel.
        files: any number.
        batch_size: pictures at a time.
        explain: bring pixels, attention and evidence too.
        megapixels: millions of pixels above which a picture is not read.

    Raises:
        UserError: the model does not say how large its pictures are.
    """
    size = predictor.image_shape[:2]
    if not all(size):
        raise UserError("the model takes pictures of any size; predict needs one with a fixed size")
    to = PictureFormat(size, predictor.resize, megapixels)
    predict = predictor.explain if explain else lambda images: predictor.predict(images, len(images))
    batch_size = min(batch_size, len(files))
    batches = [files[start : start + batch_size] for start in range(0, len(files), batch_size)]
    with ThreadPoolExecutor() as readers, ThreadPoolExecutor(1) as ahead:
        # Two pools: a batch that waits for its pictures must not take a reader's place.
        def read(batch: Sequence[Path]):
            return list(readers.map(lambda file: _read(file, to), batch))

        waiting = ahead.submit(read, batches[0]) if batches else None
        for number, batch in enumerate(batches):
            pictures = waiting.result()
            if number + 1 < len(batches):
                waiting = ahead.submit(read, batches[number + 1])
            yield from _answers(predict, batch, pictures, batch_size, explain)


def _read(file: Path, to: PictureFormat) -> np.ndarray | str:
    """The pixels, or why there are none."""
    try:
        return read_image(file, to)
    except UnreadableImage as reason:
        return str(reason)


def _answers(predict, batch, pictures: list, batch_size: int, explain: bool) -> Iterator[Answer]:
    good = [picture for picture in pictures if not isinstance(picture, str)]
    # Every batch is as large as the first, so that nothing is compiled for another size.
    filler = [good[-1]] * (batch_size - len(good)) if good else []
    outputs = predict(np.stack(good + filler)) if good else {}
    maps = attention_maps(outputs) if explain else {}
    row = 0
    for path, picture in zip(batch, pictures):
        if isinstance(picture, str):
            yield Answer(path, reason=picture)
            continue
        answer = Answer(path, outputs["probabilities"][row])
        if explain:
            attention = {tap: level[row] for tap, level in maps.items()}
            evidence = outputs["evidence"][row] if "evidence" in outputs else None
            answer = replace(answer, pixels=picture, attention=attention, evidence=evidence)
        yield answer
        row += 1
