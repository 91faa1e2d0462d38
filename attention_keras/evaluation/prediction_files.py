"""Answers written down: a row each in a table, and a picture of where the model looked."""

import contextlib
import csv
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TextIO

import numpy as np
from PIL import Image
from tqdm import tqdm

from attention_keras.data.picture_files import DRAWINGS, stems
from attention_keras.drawing.images import panel, prediction_title
from attention_keras.errors import UserError
from attention_keras.evaluation.prediction import Answer
from attention_keras.evaluation.subjects.predictor import Predictor


@dataclass(frozen=True)
class Done:
    """Where the table is, how many files were answered and how many could not be read, answers a second."""

    table: Path
    read: int
    unread: int
    speed: float


def write_predictions(
    answers: Iterator[Answer],
    files: Sequence[Path],
    folder: Path,
    predictor: Predictor,
    *,
    table: Literal["csv", "jsonl"] = "csv",
    top: int = 3,
) -> Done:
    """Write `predictions.csv` or `.jsonl`, and under `pictures/` what the answers have maps for.

    The table appears when it is whole. Until then it is called `*.part`, which an interruption removes.

    Args:
        answers: from `predict_files`.
        files: what they are for, in their order.
        folder: made where it does not exist.
        predictor: names the classes, where it knows them.
        table: its format.
        top: classes to name for each picture.

    Raises:
        UserError: the folder cannot be written to.
    """
    names = predictor.class_names or [str(number) for number in range(predictor.num_classes)]
    path, top = folder / f"predictions.{table}", min(top, len(names))
    part = path.with_name(f"{path.name}.part")
    read = unread = 0
    began = time.perf_counter()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with part.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            write = _csv_rows(file, top) if table == "csv" else _json_lines(file)
            shown = tqdm(answers, total=len(files), unit=" pictures", disable=None, leave=False, delay=3)
            for answer, stem in zip(shown, stems(files)):
                write(answer, _best(answer, names, top))
                read, unread = read + (answer.reason is None), unread + (answer.reason is not None)
                if answer.pixels is not None:
                    _draw(answer, names, folder / DRAWINGS / f"{stem}.png")
        os.replace(part, path)
    except OSError as error:
        raise UserError(
            f"cannot write to {folder}: {error.strerror or error}; choose another --output"
        ) from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    return Done(path, read, unread, len(files) / (time.perf_counter() - began))


def _best(answer: Answer, names, top: int) -> list[tuple[str, float]]:
    """The most likely classes and their probabilities; none for a file that was not read."""
    if answer.probabilities is None:
        return []
    order = np.argsort(-answer.probabilities, kind="stable")[:top]
    return [(names[number], float(answer.probabilities[number])) for number in order]


def _csv_rows(file: TextIO, top: int) -> Callable[[Answer, list], None]:
    writer = csv.writer(file, lineterminator="\n")
    others = [f"{head}_{number}" for number in range(2, top + 1) for head in ("class", "probability")]
    writer.writerow(["path", "class", "probability", *others, "reason"])

    def write(answer: Answer, best: list[tuple[str, float]]) -> None:
        cells: list[Any] = [cell for name, probability in best for cell in (name, f"{probability:.6f}")]
        cells += [""] * (2 * top - len(cells))
        writer.writerow([answer.path, *cells, answer.reason or ""])

    return write


def _json_lines(file: TextIO) -> Callable[[Answer, list], None]:
    def write(answer: Answer, best: list[tuple[str, float]]) -> None:
        name, probability = best[0] if best else (None, None)
        row = {
            "path": str(answer.path),
            "class": name,
            "probability": probability,
            "top": [{"class": name, "probability": probability} for name, probability in best],
            "reason": answer.reason,
        }
        file.write(json.dumps(row, ensure_ascii=False) + "\n")

    return write


def _draw(answer: Answer, names, path: Path) -> None:
    title, _ = prediction_title(answer.probabilities, names)
    predicted = names[int(answer.probabilities.argmax())]
    evidence = {} if answer.evidence is None else {f"for {predicted}": answer.evidence}
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(panel(answer.pixels, answer.attention, title, evidence=evidence)).save(path)
