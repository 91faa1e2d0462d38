"""Answers for image files, a batch at a time: a folder of any size needs the memory of one batch."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from attention_keras.data.geometry import PictureFormat
from attention_keras.data.images import UnreadableImage, check_channels, read_image
from attention_keras.errors import UserError
from attention_keras.evaluation.subjects.predictor import Predictor
from attention_keras.models.outputs import attention_maps


@dataclass(frozen=True, eq=False)
class Answer:
    """What a model says of one image file: probabilities `(k,)`, or the reason why it could not be read.

    With an explanation also the pixels `(H, W, c)` that the model saw, attention `(h, w)` by tap, and the
    evidence for the predicted class `(H, W)`, where the model has it.
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
) -> Iterator[Answer]:
    """One answer a file, in order; `explain` brings pixels, attention and evidence too.

    Images are read while the batch before is predicted.
    """
    *size, channels = predictor.image_shape
    if not all(size):
        raise UserError("the model takes images of any size; predict needs one with a fixed size")
    check_channels(channels)
    to = PictureFormat(tuple(size), predictor.resize)
    predict = predictor.explain if explain else lambda images: predictor.predict(images, len(images))
    batch_size = min(batch_size, len(files) or 1)
    batches = [files[start : start + batch_size] for start in range(0, len(files), batch_size)]
    with ThreadPoolExecutor() as readers, ThreadPoolExecutor(1) as ahead:
        # Two pools: a batch that waits for its images must not take a reader's place.
        def read(batch: Sequence[Path]):
            return list(readers.map(lambda file: _read(file, to, channels), batch))

        waiting = ahead.submit(read, batches[0]) if batches else None
        for number, batch in enumerate(batches):
            images = waiting.result()
            if number + 1 < len(batches):
                waiting = ahead.submit(read, batches[number + 1])
            yield from _answers(predict, batch, images, batch_size, explain)


def _read(file: Path, to: PictureFormat, channels: int) -> np.ndarray | str:
    """The pixels, or why there are none."""
    try:
        return read_image(file, to, channels)
    except UnreadableImage as reason:
        return str(reason)


def _answers(predict, batch, images: list, batch_size: int, explain: bool) -> Iterator[Answer]:
    good = [image for image in images if not isinstance(image, str)]
    # Every batch is as large as the first, so that nothing is compiled for another size.
    filler = [good[-1]] * (batch_size - len(good)) if good else []
    outputs = predict(np.stack(good + filler)) if good else {}
    maps = attention_maps(outputs) if explain else {}
    row = 0
    for path, image in zip(batch, images):
        if isinstance(image, str):
            yield Answer(path, reason=image)
            continue
        answer = Answer(path, outputs["probabilities"][row])
        if explain:
            attention = {tap: level[row] for tap, level in maps.items()}
            evidence = outputs["evidence"][row] if "evidence" in outputs else None
            answer = replace(answer, pixels=image, attention=attention, evidence=evidence)
        yield answer
        row += 1
