"""Versions as TensorFlow Serving reads them, and files of other formats beside them; each is renamed in."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attention_keras.errors import UserError
from attention_keras.runs.durable import flush

UNFINISHED = ".unfinished-"
LARGEST = 2**63 - 1


def versions(directory: str | Path) -> dict[int, Path]:
    """Version number -> its directory under a model's base path, ascending; other names are passed over.

    As for TensorFlow Serving, `007` is version 7, and a number beyond 64 bits is no version.
    """
    directory = Path(directory)
    if not directory.is_dir():
        return {}
    numbers = {int(e.name): e for e in directory.iterdir() if e.name.isascii() and e.name.isdigit()}
    return {number: numbers[number] for number in sorted(numbers) if number <= LARGEST}


def newest_version(directory: str | Path) -> Path | None:
    """The directory of the highest version, or None."""
    return next(reversed(versions(directory).values()), None)


def beside(directory: Path, number: int, suffix: str) -> Path:
    """Where a file of another format stands: beside the versions, where a server passes it over."""
    return directory / f"{directory.resolve().name}-{number}{suffix}"


def next_number(directory: Path) -> int:
    """One above every number here, of a version or of a file beside the versions."""
    numbers = set(versions(directory))
    if directory.is_dir():
        file = re.compile(re.escape(directory.resolve().name) + r"-([0-9]{1,18})(-int8)?\.\w+")
        numbers |= {int(match[1]) for entry in directory.iterdir() if (match := file.fullmatch(entry.name))}
    return max(numbers, default=0) + 1


def refuse_taken(directory: Path, number: int, suffix: str = "") -> None:
    """Raise UserError where a version is there already, with a suffix where a file beside it is."""
    if not 0 <= number <= LARGEST:
        raise UserError(f"version must be a number from 0 to {LARGEST}; got {number}")
    path = beside(directory, number, suffix) if suffix else versions(directory).get(number)
    if path and os.path.lexists(path):
        raise UserError(f"{path} exists already; remove it, or choose another version number")


def refuse_unwritable(directory: str | Path) -> None:
    """Raise UserError where a folder is not there and cannot be made, or cannot be written to."""
    directory = Path(directory)
    there = next(path for path in (directory, *directory.parents) if os.path.lexists(path))
    if not os.path.isdir(there):
        reason = f"{there} is no folder"
    elif not os.access(there, os.W_OK | os.X_OK):
        reason = f"{there} is not writable"
    else:
        return
    raise UserError(f"cannot write to {directory}: {reason}; choose another folder")


@contextmanager
def unfinished_version(directory: Path) -> Iterator[Path]:
    """A folder beside the versions that a server passes over; it is gone at the end.

    Folders that had to be made on the way are taken away again when nothing was put into them.
    """
    made = [path for path in (directory, *directory.parents) if not path.exists()]
    directory.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=directory))
    try:
        yield unfinished
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        for path in made:
            try:
                path.rmdir()
            except OSError:
                break


def publish(saved_model: Path, directory: Path, version: int | None = None) -> int:
    """Rename a finished SavedModel to `<directory>/<number>`, by default the next number; return the number.

    A reader sees the whole version or none, also after a crash.
    """
    for path in (saved_model, *saved_model.rglob("*")):
        flush(path)
    while True:
        number = next_number(directory) if version is None else version
        if version is not None:
            refuse_taken(directory, version)
        try:
            # This fails where the target is there, unless that is an empty directory.
            saved_model.rename(directory / str(number))
        except OSError:
            if (directory / str(number)).exists():
                continue  # another exporter was faster
            raise
        flush(directory)
        return number


def publish_file(file: Path, directory: Path, number: int, suffix: str) -> Path:
    """Rename a finished file to `<directory>/<name>-<number><suffix>`, and return that path."""
    refuse_taken(directory, number, suffix)
    flush(file)
    target = file.rename(beside(directory, number, suffix))
    flush(directory)
    return target
