"""Answers written down as they come: a row each in a table, and a drawing of where the model looked."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from attention_keras.data.files import DRAWINGS, unique_stem
from attention_keras.drawing.images import panel, prediction_title
from attention_keras.evaluation.prediction import Answer
from attention_keras.evaluation.prediction_table import Table
from attention_keras.evaluation.subjects.predictor import Predictor
from attention_keras.runs.durable import write_whole, writing_to


def write_predictions(
    answers: Iterator[Answer], count: int, table: Table, predictor: Predictor, *, top: int = 3
) -> None:
    """Add `count` rows to the table, and draw beside it, under `pictures/`, what the answers have maps for.

    A row is written when its drawing is there. Each names the `top` most likely classes.
    """
    names = predictor.class_names or [str(number) for number in range(predictor.num_classes)]
    folder, top = table.path.parent, min(top, len(names))
    with writing_to(folder), table.rows(top) as add:
        for answer in tqdm(answers, total=count, unit=" images", disable=None, leave=False, delay=3):
            drawing = None
            if answer.pixels is not None:
                drawing = f"{DRAWINGS}/{unique_stem(answer.path)}.png"
                _draw(answer, names, folder / drawing)
            row = {"path": str(answer.path), "top": _best(answer, names, top)}
            add(row | {"drawing": drawing, "reason": answer.reason})


def _best(answer: Answer, names, top: int) -> list[tuple[str, float]]:
    """The most likely classes and their probabilities; none for a file that was not read."""
    if answer.probabilities is None:
        return []
    order = np.argsort(-answer.probabilities, kind="stable")[:top]
    return [(names[number], float(answer.probabilities[number])) for number in order]


def _draw(answer: Answer, names, path: Path) -> None:
    title, _ = prediction_title(answer.probabilities, names)
    predicted = names[int(answer.probabilities.argmax())]
    evidence = {} if answer.evidence is None else {f"for {predicted}": answer.evidence}
    colours = np.broadcast_to(answer.pixels, (*answer.pixels.shape[:2], 3))  # grey is repeated
    path.parent.mkdir(exist_ok=True)
    drawn = io.BytesIO()
    Image.fromarray(panel(colours, answer.attention, title, evidence=evidence)).save(drawn, "png")
    write_whole(path, drawn.getvalue())
