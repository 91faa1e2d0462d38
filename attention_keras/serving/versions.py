"""Versions as TensorFlow Serving reads them, files of other formats beside them, and their cards."""

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from attention_keras.errors import UserError
from attention_keras.runs.durable import flush, write_whole, writing_to

CARD_FILE = Path("assets", "model_card.json")
TRITON_MODEL = "model.onnx"


def versions(directory: str | Path) -> dict[int, Path]:
    """Version number -> its directory under a model's base path, ascending. As for TensorFlow Serving, `007`
    is version 7, and a number beyond 64 bits, or any other name, is no version."""
    entries = Path(directory).iterdir() if Path(directory).is_dir() else ()
    numbers = {int(e.name): e for e in entries if e.name.isascii() and e.name.isdigit()}
    return {number: numbers[number] for number in sorted(numbers) if number < 2**63}


def newest_version(directory: str | Path) -> Path | None:
    """The directory of the highest version, or None."""
    return next(reversed(versions(directory).values()), None)


def read_card(version: Path) -> dict[str, Any]:
    """The card of the version at a path; {} where it has none."""
    file = version / CARD_FILE
    try:
        card = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        if not isinstance(card, dict):
            raise ValueError("it holds no JSON object")
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"cannot read {file}: {error}") from None
    return card


def version_of_run(directory: Path, run: str) -> int | None:
    """The highest version that was made from the run of this id."""
    made = (number for number, path in versions(directory).items() if read_card(path).get("run") == run)
    return max(made, default=None)


def _place(directory: Path, number: int, suffix: str) -> Path:
    """A version has no suffix; a file of another format stands beside it, where a server passes it over."""
    if suffix:
        return directory / f"{directory.resolve().name}-{number}{suffix}"
    return versions(directory).get(number, directory / str(number))


def next_number(directory: Path) -> int:
    """One above every number here, of a version or of a file beside the versions."""
    numbers = set(versions(directory))
    if directory.is_dir():
        file = re.compile(re.escape(directory.resolve().name) + r"-([0-9]{1,18})(-int8)?\.\w+")
        numbers |= {int(match[1]) for entry in directory.iterdir() if (match := file.fullmatch(entry.name))}
    return max(numbers, default=0) + 1


def refuse_taken(directory: Path, number: int, suffixes: Iterable[str]) -> None:
    """Raise UserError where a version is there already, or a file beside it."""
    for path in (_place(directory, number, suffix) for suffix in suffixes):
        if os.path.lexists(path):
            raise UserError(f"{path} exists already; remove it, or choose another version number")


def write_triton_config(directory: Path) -> None:
    """For all versions; Triton reads from their files what goes in and out. One that is there stays."""
    if not (config := directory / "config.pbtxt").exists():
        head = f'name: "{directory.resolve().name}"\nbackend: "onnxruntime"\nmax_batch_size: 32\n'
        write_whole(config, f"{head}dynamic_batching {{ }}\n".encode())


@contextlib.contextmanager
def unfinished_version(directory: Path) -> Iterator[Path]:
    """A folder beside the versions that a server passes over; at the end it is gone, and so are those that
    had to be made for it, where nothing was put into them. What the system refuses raises UserError."""
    made = [path for path in (directory, *directory.parents) if not os.path.lexists(path)]
    with writing_to(directory):
        try:
            directory.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=directory) as folder:
                yield Path(folder)
        finally:
            for path in made:
                with contextlib.suppress(OSError):
                    path.rmdir()


def publish(finished: Mapping[str, Path], directory: Path, number: int | None = None) -> dict[str, Path]:
    """Rename finished files, by their suffix (of a version empty), to their places under one number, by
    default the next. A reader sees the whole version or none, also after a crash."""
    for path in finished.values():
        for part in (path, *path.rglob("*")):
            flush(part)
    if number is not None:
        refuse_taken(directory, number, finished)
    while True:
        chosen = next_number(directory) if number is None else number
        places = {suffix: _place(directory, chosen, suffix) for suffix in sorted(finished)}
        try:
            for suffix, place in places.items():
                # Of a version this fails where it is there, unless that is an empty directory.
                finished[suffix].rename(place)
        except OSError:
            if "" in places and finished[""].exists() and places[""].exists():
                continue  # another exporter was faster
            raise
        flush(directory)
        return places
