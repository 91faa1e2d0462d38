"""Answers written down as they come: a row each in a table, and a drawing of where the model looked."""

import csv
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TextIO

import numpy as np
from PIL import Image
from tqdm import tqdm

from attention_keras.data.files import DRAWINGS, stems
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

    Rows are written as they come, so that an interruption leaves those that were answered. Each names the
    `top` most likely classes.
    """
    names = predictor.class_names or [str(number) for number in range(predictor.num_classes)]
    path, top = folder / f"predictions.{table}", min(top, len(names))
    read = 0
    began = time.perf_counter()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", errors="surrogateescape", newline="", buffering=1) as file:
            write = _csv_rows(file, top) if table == "csv" else _json_lines(file)
            shown = tqdm(answers, total=len(files), unit=" images", disable=None, leave=False, delay=3)
            for answer, stem in zip(shown, stems(files)):
                write(answer, _best(answer, names, top))
                read += answer.reason is None
                if answer.pixels is not None:
                    _draw(answer, names, folder / DRAWINGS / f"{stem}.png")
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"cannot write to {folder}: {reason}; choose another folder") from None
    return Done(path, read, len(files) - read, len(files) / (time.perf_counter() - began))


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
    colours = np.broadcast_to(answer.pixels, (*answer.pixels.shape[:2], 3))  # grey is repeated
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(panel(colours, answer.attention, title, evidence=evidence)).save(path)
