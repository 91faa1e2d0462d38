"""Answers written down as they come: a row each in the record, a drawing and the numbers of the maps."""

import io
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from attention_keras.data.files import DRAWINGS, unique_stem
from attention_keras.drawing.canvas import png
from attention_keras.drawing.images import panel
from attention_keras.evaluation.predictions.answers import Answer
from attention_keras.evaluation.predictions.record import Record, Row
from attention_keras.progress import Bar
from attention_keras.runs.durable import write_whole, writing_to

MAPS = "maps"
"""Folder in the output of `predict` for the numbers of the maps."""
UNDER_WAY = 64
"""Drawings that are begun before the first of them must be done."""


def write_predictions(
    answers: Iterator[Answer],
    count: int,
    record: Record,
    class_names: Sequence[str],
    *,
    top: int = 3,
    pictures: bool = True,
    maps: bool = False,
) -> None:
    """Add `count` rows to the record; write drawings under `pictures/` and numbers under `maps/`.

    A row is written when its files are there. Each names the `top` most likely classes. Drawings are made
    while the next images are read and predicted.
    """
    folder = record.path.parent
    under_way: deque = deque()

    def finish(most: int) -> None:
        """Write the rows of what is done, and wait for it where more than this are under way."""
        while under_way and (len(under_way) > most or all(file.done() for file in under_way[0][1])):
            row, files = under_way.popleft()
            for file in files:
                file.result()
            add(row)

    with writing_to(folder), record.rows() as add, ThreadPoolExecutor() as pool:
        for name in [DRAWINGS] * pictures + [MAPS] * maps:
            (folder / name).mkdir(exist_ok=True)
        try:
            for answer in Bar(answers, total=count, unit=" images"):
                row, files = _row(answer, class_names, top) | ({"maps": None} if maps else {}), []
                for wanted, key, name, make in (
                    (pictures, "drawing", f"{DRAWINGS}/{{}}.png", _drawing),
                    (maps, "maps", f"{MAPS}/{{}}.npz", _numbers),
                ):
                    if wanted and answer.explanation is not None:
                        row[key] = name.format(unique_stem(answer.path))
                        files.append(pool.submit(_write, folder / row[key], make, answer))
                under_way.append((row, files))
                finish(UNDER_WAY)
        finally:  # what is answered stays answered
            finish(0)


def _row(answer: Answer, names: Sequence[str], top: int) -> Row:
    """The most likely classes and their probabilities; none for a file that was not read."""
    if answer.activation == "linear":
        number = None if answer.probabilities is None else float(answer.probabilities[0])
        return {
            "path": str(answer.path),
            names[0]: number,
            "top": [],
            "drawing": None,
            "reason": answer.reason,
        }
    classes = []
    if answer.probabilities is not None:
        order = np.argsort(-answer.probabilities, kind="stable")[:top]
        classes = [{"class": names[n], "probability": float(answer.probabilities[n])} for n in order]
    best = classes[0] if classes else {"class": None, "probability": None}
    tags = {"tags": sorted(names[tag] for tag in answer.tags)} if answer.activation == "sigmoid" else {}
    row = {"path": str(answer.path)} | tags | best
    return row | {"top": classes, "drawing": None, "reason": answer.reason}


def _write(path: Path, make, answer: Answer) -> None:
    write_whole(path, make(answer))


def _drawing(answer: Answer) -> bytes:
    found, row = answer.explanation, answer.row
    if answer.activation == "softmax":
        return png(found.draw(row))
    names, number = found.class_names, answer.probabilities[0]
    if answer.activation == "sigmoid":
        said = ", ".join(f"{names[tag]} ({answer.probabilities[tag]:.0%})" for tag in answer.tags) or "no tag"
        maps = answer.tags
    else:
        said, maps = f"{names[0]}: {number:.4g}", {0: None if found.total is None else found.total[row]}
    evidence = {f"for {names[tag]}": level for tag, level in maps.items() if level is not None}
    return png(panel(found.images[row].astype("uint8"), {}, said, evidence=evidence))


def _numbers(answer: Answer) -> bytes:
    """All maps of one image as the content of an `.npz` file."""
    explanation, row = answer.explanation, answer.row
    arrays = {"probabilities": explanation.probabilities[row]}
    arrays |= {f"attention_{tap}": level[row] for tap, level in explanation.attention.items()}
    arrays |= {f"evidence_{tap}": level[row] for tap, level in explanation.evidence.items()}
    if explanation.total is not None:
        arrays |= {"evidence": explanation.total[row], "evidence_rest": explanation.rest[row]}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()
