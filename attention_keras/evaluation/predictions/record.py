"""The record of `predict`: a line for each image, with its drawing and the numbers of its maps beside it.

No stop loses a line, and no image gets a second one.
"""

import contextlib
import io
import json
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from attention_keras.data.files import DRAWINGS, unique_stem
from attention_keras.drawing.cells import compose, png
from attention_keras.drawing.images import cells, prediction_title, tags_of
from attention_keras.errors import UserError
from attention_keras.evaluation.predictions.answers import Answer
from attention_keras.evaluation.subjects.predictor import Predictor
from attention_keras.progress import Bar
from attention_keras.runs.durable import hold_alone, write_json, write_whole, writing_to

# A file's name may be any bytes.
TEXT: Any = {"encoding": "utf-8", "errors": "surrogateescape", "newline": "\n"}
MAPS = "maps"
"""Folder in the output of `predict` for the numbers of the maps."""
UNDER_WAY = 64
"""Drawings that are begun before the first of them must be done."""

Row = dict[str, Any]
"""`path`, `class` and `probability`, `top` with more of them, `drawing`, `reason`, and `maps` if wanted. Of a
model of tags also `tags`; of one of numbers the number in place of class and probability."""


@dataclass(eq=False)
class Record:
    """A `.jsonl` file; `answered` says of each path that has a row whether the image could be read."""

    path: Path
    answered: dict[str, bool] = field(default_factory=dict)


@contextlib.contextmanager
def open_record(path: Path, settings: dict[str, Any]) -> Iterator[Record]:
    """The record as an earlier process left it, for this process alone; `settings` are of the command.

    Raises:
        UserError: the folder has answers to another command, or another process is writing them.
    """
    busy = f"{path} is being written by another process; choose another folder"
    with hold_alone(path.with_name(f".{path.name}.lock"), busy):
        told, record = path.with_name(f"{path.stem}.settings.json"), Record(path)
        with writing_to(path.parent):
            if not path.exists():
                write_json(told, settings)
            elif not told.exists() or json.loads(told.read_text(encoding="utf-8")) != settings:
                raise UserError(
                    f"{path.parent} has the answers to another command (see {told.name}); choose another "
                    "folder, or delete it"
                )
            else:
                with path.open("r+b") as file:  # a kill or a full disk has cut the last row
                    file.truncate(file.read().rfind(b"\n") + 1)
                try:
                    record.answered = {row["path"]: row["reason"] is None for row in read_rows(path)}
                except (KeyError, TypeError, ValueError):
                    said = f"{path} is not as predict wrote it; choose another folder, or delete it"
                    raise UserError(said) from None
        yield record


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a record."""
    with path.open(**TEXT) as file:
        yield from map(json.loads, file)


def write_predictions(
    answers: Iterator[Answer],
    count: int,
    record: Record,
    predictor: Predictor,
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
    wanted: list[tuple[str, str, Callable]] = [("drawing", f"{DRAWINGS}/{{}}.png", _drawing)] * pictures
    wanted += [("maps", f"{MAPS}/{{}}.npz", _numbers)] * maps
    under_way: deque = deque()

    def write(path: Path, make: Callable, answer: Answer) -> None:
        write_whole(path, make(answer, predictor))

    def finish(most: int) -> None:
        """Write the rows of what is done, and wait for it where more than this are under way."""
        while under_way and (len(under_way) > most or all(file.done() for file in under_way[0][1])):
            row, files = under_way.popleft()
            for file in files:
                file.result()
            lines.write(json.dumps(row, ensure_ascii=False) + "\n")
            record.answered[row["path"]] = row["reason"] is None

    with (
        writing_to(folder),
        record.path.open("a", buffering=1, **TEXT) as lines,
        ThreadPoolExecutor() as pool,
    ):
        for _, name, _ in wanted:
            (folder / name).parent.mkdir(exist_ok=True)
        try:
            for answer in Bar(answers, total=count, unit=" images"):
                row, files = _row(answer, predictor, top) | ({"maps": None} if maps else {}), []
                for key, name, make in wanted if answer.explanation is not None else ():
                    row[key] = name.format(unique_stem(answer.path))
                    files.append(pool.submit(write, folder / row[key], make, answer))
                under_way.append((row, files))
                finish(UNDER_WAY)
        finally:  # what is answered stays answered
            finish(0)


def names_of(predictor: Predictor) -> list[str]:
    return predictor.class_names or [str(number) for number in range(predictor.num_classes)]


def _row(answer: Answer, predictor: Predictor, top: int) -> Row:
    """The most likely classes and their probabilities; none for a file that was not read."""
    found, names, said, classes = answer.probabilities, names_of(predictor), {}, []
    if predictor.activation == "linear":
        said = {names[0]: None if found is None else float(found[0])}
    else:
        if found is not None:
            order = np.argsort(-found, kind="stable")[:top]
            classes = [{"class": names[n], "probability": float(found[n])} for n in order]
        if predictor.activation == "sigmoid":
            tags = [] if found is None else np.flatnonzero(tags_of(found, predictor.thresholds))
            said = {"tags": sorted(names[tag] for tag in tags)}
        said |= classes[0] if classes else {"class": None, "probability": None}
    return {"path": str(answer.path), **said, "top": classes, "drawing": None, "reason": answer.reason}


def _drawing(answer: Answer, predictor: Predictor) -> bytes:
    found, row = answer.explanation, answer.row
    if answer.evidence is None:
        return png(found.draw(row))
    about = (None, "sigmoid", predictor.thresholds)
    title, _ = prediction_title(answer.probabilities, found.class_names, *about)
    return png(compose([cells(found.images[row].astype("uint8"), {}, answer.evidence)], title))


def _numbers(answer: Answer, predictor: Predictor) -> bytes:
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


def write_table(record: Path, form: Literal["csv", "parquet"], top: int) -> Path:
    """The rows with columns for `top` classes, beside the record; the path."""
    import pandas

    path = record.with_suffix(f".{form}")
    frame = pandas.DataFrame([_flat(row, top) for row in read_rows(record)])
    if form == "csv":
        content = frame.to_csv(index=False, float_format="%.6f").encode(errors="surrogateescape")
    else:  # its names are Unicode
        frame["path"] = [os.fsencode(name).decode(errors="replace") for name in frame["path"]]
        content = frame.to_parquet(index=False)
    with writing_to(path.parent):
        write_whole(path, content)
    return path


def _flat(row: Row, top: int) -> Row:
    if "class" not in row:  # a number
        return {key: value for key, value in row.items() if key != "top"}
    classes = [*row["top"], *[{"class": None, "probability": None}] * (top - len(row["top"]))]
    cells = {"path": row["path"]} | ({"tags": ";".join(row["tags"])} if "tags" in row else {})
    for number, best in enumerate(classes, start=1):
        ending = f"_{number}" * (number > 1)
        cells |= {f"class{ending}": best["class"], f"probability{ending}": best["probability"]}
    return cells | {key: value for key, value in row.items() if key in ("drawing", "maps", "reason")}
