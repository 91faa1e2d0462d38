"""The record of `predict`: a line an image, which no stop loses or doubles, with its drawing and maps."""

import contextlib
import io
import json
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, NamedTuple

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
MAPS, OVERVIEW = "maps", "index.html"
"""In the output of `predict`: the folder of the numbers of the maps, and a page of all drawings."""
UNDER_WAY = 64
"""Drawings that are begun before the first of them must be done."""

Row = dict[str, Any]
"""`path`, `class` and `probability`, `top` with more of them, `drawing`, `reason`, and `maps` if wanted. Of a
model of tags also `tags`; of one of numbers the number in place of class and probability."""


class Record(NamedTuple):
    """A `.jsonl` file; `answered` says of each path that has a row whether the image could be read."""

    path: Path
    answered: dict[str, bool]


@contextlib.contextmanager
def open_record(path: Path, settings: dict[str, Any]) -> Iterator[Record]:
    """The record as an earlier process left it, for this process alone; `settings` are of the command."""
    busy = f"{path} is being written by another process; choose another folder"
    with hold_alone(path.with_name(f".{path.name}.lock"), busy):
        told, record = path.with_name(f"{path.stem}.settings.json"), Record(path, {})
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
                    record.answered.update({row["path"]: row["reason"] is None for row in read_rows(path)})
                except (KeyError, TypeError, ValueError):
                    said = f"{path} is not as predict wrote it; choose another folder, or delete it"
                    raise UserError(said) from None
        yield record


def read_rows(path: Path) -> Iterator[Row]:
    with path.open(**TEXT) as file:
        yield from map(json.loads, file)


def write_predictions(
    answers, count: int, record: Record, predictor: Predictor, *, top=3, pictures=True, maps=False
) -> None:
    """Add `count` rows when their files are there; drawings are made while the next images are predicted."""
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


def _row(answer: Answer, predictor: Predictor, top: int) -> Row:
    """The most likely classes and their probabilities; none for a file that was not read."""
    found, said, classes = answer.probabilities, {}, []
    names = predictor.class_names or list(map(str, range(predictor.num_classes)))
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
    names, thresholds = found.class_names, predictor.thresholds
    title, _ = prediction_title(answer.probabilities, names, None, "sigmoid", thresholds)
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


def write_overview(folder: Path) -> Path:
    """Write `index.html`, a page of all drawings in a folder to sort and to filter; of other shards too."""
    rows = [
        [row["path"], row["class"], row["probability"] or 0.0, row["drawing"], row["reason"]]
        for record in sorted(folder.glob("predictions*.jsonl"))
        for row in read_rows(record)
    ]
    # Inside a script nothing but "</" ends it; a name's odd bytes are shown as question marks.
    data = json.dumps(rows, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    page = Path(__file__).with_name("overview.html").read_text(encoding="utf-8").replace("ROWS", data, 1)
    with writing_to(folder):
        write_whole(folder / OVERVIEW, page.encode(errors="replace"))
    return folder / OVERVIEW


def _flat(row: Row, top: int) -> Row:
    """With columns for each of the `top` classes, and tags in one cell."""
    if "class" not in row:  # a number
        return {key: value for key, value in row.items() if key != "top"}
    cells = {"path": row["path"]} | ({"tags": ";".join(row["tags"])} if "tags" in row else {})
    for number in range(top):
        ending = f"_{number + 1}" * (number > 0)
        best = row["top"][number] if row["top"] else {"class": None, "probability": None}
        cells |= {f"{key}{ending}": value for key, value in best.items()}
    return cells | {key: row[key] for key in ("drawing", "reason", "maps") if key in row}
