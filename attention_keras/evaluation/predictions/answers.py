"""Answers for image files, a batch at a time: a folder of any size needs the memory of a few batches."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from attention_keras.data.image_files import UnreadableImage
from attention_keras.data.images import PictureFormat, model_channels, read_image
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

    An `explanation` is of the whole batch, `row` is the place there; tags have `evidence` `(H, W)` each.
    """

    path: Path
    probabilities: np.ndarray | None = None
    reason: str | None = None
    explanation: Explanation | None = None
    row: int = 0
    evidence: Mapping[str, np.ndarray] | None = None


def predict_files(
    predictor: Predictor, files: Sequence[Path], *, batch_size: int = 32, explain: bool = True
) -> Iterator[Answer]:
    """One answer a file, in order. Images are read while the batches before are predicted."""
    if isinstance(predictor, TiledPredictor):
        return (_of_tiles(predictor, file, explain) for file in files)
    *size, channels = predictor.image_shape
    if not all(size):
        raise UserError("the model takes images of any size; give predict the run, if it reads tiles")
    to = PictureFormat(tuple(size), predictor.resize, predictor.value_range, model_channels(channels))
    return _in_batches(predictor, files, to, min(batch_size, len(files) or 1), explain)


def _of_tiles(predictor: TiledPredictor, file: Path, explain: bool) -> Answer:
    try:
        if not explain:
            return Answer(file, predictor.probabilities_of_file(file))
        explanation = predictor.explain_file(file)
        return Answer(file, explanation.probabilities[0], explanation=explanation)
    except UnreadableImage as reason:
        return Answer(file, reason=str(reason))


def _in_batches(
    predictor: Predictor, files: Sequence[Path], to: PictureFormat, batch_size: int, explain: bool
) -> Iterator[Answer]:
    batches = [files[start : start + batch_size] for start in range(0, len(files), batch_size)]

    def read(file: Path) -> np.ndarray | str:
        """The pixels, or why there are none."""
        try:
            return read_image(file, to)
        except UnreadableImage as reason:
            return str(reason)

    with ThreadPoolExecutor() as readers:
        waiting = [readers.map(read, batch) for batch in batches[:AHEAD]]
        for number, batch in enumerate(batches):
            images = list(waiting.pop(0))
            waiting += [readers.map(read, later) for later in batches[number + AHEAD : number + AHEAD + 1]]
            yield from _answers(predictor, batch, images, batch_size, explain)


def _answers(predictor, batch, images: list, batch_size: int, explain: bool) -> Iterator[Answer]:
    good = [image for image in images if not isinstance(image, str)]
    explanation = evidence = None
    if good:
        # Every batch is as large as the first, so that nothing is compiled for another size.
        pixels = np.stack(good + [good[-1]] * (batch_size - len(good)))
        explanation = predictor.explain(pixels) if explain else None
        outputs = {} if explanation else predictor.predict(pixels, batch_size)
        probabilities = explanation.probabilities if explanation else outputs[PROBABILITIES]
        if explanation and predictor.activation == "sigmoid":
            found, names = probabilities[: len(good)], explanation.class_names
            evidence = evidence_of_tags(predictor.explain, pixels, found, predictor.thresholds, names)
    row = 0
    for path, image in zip(batch, images):
        if isinstance(image, str):
            yield Answer(path, reason=image)
            continue
        yield Answer(path, probabilities[row], None, explanation, row, evidence and evidence[row])
        row += 1


def evidence_of_tags(
    explain: Callable, images: np.ndarray, answers: np.ndarray, thresholds, names: Sequence[str]
) -> list[dict[str, np.ndarray]]:
    """For each answer `(n, k)` what speaks for each of its tags, `(H, W)`, where the model has evidence."""
    rows, tags = np.nonzero(tags_of(answers, thresholds))
    evidence: list[dict[str, np.ndarray]] = [{} for _ in answers]
    totals = explain(images[rows], tags).total if len(rows) else None
    for row, tag, total in zip(rows, tags, () if totals is None else totals):
        evidence[row][f"for {names[tag]}"] = total
    return evidence
