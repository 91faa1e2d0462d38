"""Versions as TF Serving reads them, files of other formats beside them, and publishing both whole."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from attention_keras.errors import UserError
from attention_keras.runs.durable import flush

UNFINISHED = ".unfinished-"
LARGEST = 2**63 - 1


def versions(directory: str | Path) -> dict[int, Path]:
    """Version number -> its directory under a model's base path, ascending; other names are passed over.

    As for TF Serving, `007` is version 7, and a number beyond 64 bits is no version.

    Example:
        >>> versions("saved_models/none-here")
        {}
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
    """Where a file of another format stands: beside the version directories, where a server passes it over.

    Args:
        directory: the model's base path.
        number: of the version.
        suffix: of the file; the empty one stands for the SavedModel's directory.

    Example:
        >>> beside(Path("saved_models/pets"), 3, ".onnx").as_posix()
        'saved_models/pets/pets-3.onnx'
    """
    return directory / (f"{directory.resolve().name}-{number}{suffix}" if suffix else str(number))


def next_number(directory: Path) -> int:
    """One above every number here, of a version or of a file beside the versions."""
    numbers = set(versions(directory))
    if directory.is_dir():
        pattern = re.compile(re.escape(directory.resolve().name) + r"-([0-9]{1,18})\.\w+")
        found = (pattern.fullmatch(entry.name) for entry in directory.iterdir())
        numbers |= {int(match[1]) for match in found if match}
    return max(numbers, default=0) + 1


def refuse_taken(directory: Path, version: int | None, suffixes: Sequence[str] = ("",)) -> None:
    """Nothing is ever overwritten.

    Args:
        directory: the model's base path.
        version: the number that is wanted, if one is.
        suffixes: of the files that will have this number; the empty one stands for the SavedModel.

    Raises:
        UserError: one of them is there already, or `version` is no version number.
    """
    if version is None:
        return
    if not 0 <= version <= LARGEST:
        raise UserError(f"version must be a number from 0 to {LARGEST}; got {version}")
    taken = versions(directory).get(version) if "" in suffixes else None
    files = (beside(directory, version, suffix) for suffix in suffixes if suffix)
    taken = taken or next((file for file in files if os.path.lexists(file)), None)
    if taken is not None:
        raise UserError(f"{taken} exists already; leave the version out to get the next one")


def refuse_unwritable(directory: str | Path) -> None:
    """Say now what would fail later: the folder is not there and cannot be made, or cannot be written.

    Args:
        directory: a model's base path, there or not.

    Raises:
        UserError: one line says which folder, and why.
    """
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
    """A folder beside the versions that TF Serving passes over; gone at the end unless it was published.

    Folders that had to be made on the way are taken away again when nothing was put into them.
    """
    made = [path for path in (directory, *directory.parents) if not path.exists()]
    directory.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=directory))
    unfinished.chmod(0o755)  # mkdtemp's own mode would shut out a server that runs as another user
    try:
        yield unfinished
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        for path in made:
            try:
                path.rmdir()
            except OSError:
                break


def publish(
    directory: Path,
    version: int | None,
    saved_model: Path | None = None,
    files: Mapping[str, Path] | None = None,
    preferred: int | None = None,
) -> int:
    """Put everything in place under one number; where another exporter took that first, the next is taken.

    Args:
        directory: the model's base path; what is published lies on the same disk.
        version: the number, if it must be this one.
        saved_model: a finished version, which becomes `<directory>/<number>`.
        files: suffix -> finished file, which becomes `<directory>/<name>-<number><suffix>`.
        preferred: the number, if it is free; else the next one above all.

    Returns:
        The number.

    Raises:
        UserError: what was asked for by number is there already.
    """
    files = files or {}
    suffixes = [*([""] if saved_model else []), *files]
    for path in filter(None, (saved_model, *files.values())):
        flush(path)
        for inside in path.rglob("*"):
            flush(inside)
    while True:
        refuse_taken(directory, version, suffixes)
        number = next(n for n in (version, preferred, next_number(directory)) if n is not None)
        preferred = None
        if _put(directory, number, saved_model, files):
            flush(directory)
            return number


def _put(directory: Path, number: int, saved_model: Path | None, files: Mapping[str, Path]) -> bool:
    """Everything in place, or nothing: False where the number is taken."""
    placed: list[tuple[Path, Path]] = []
    try:
        for suffix, file in files.items():
            target = beside(directory, number, suffix)
            _place(file, target)
            placed.append((file, target))
        if saved_model:
            # Renaming a directory fails when the target is there, unless that is an empty directory.
            saved_model.rename(directory / str(number))
    except OSError as error:
        for file, target in placed:
            target.unlink() if file.exists() else target.rename(file)
        renaming = len(placed) == len(files)
        if isinstance(error, FileExistsError) or (renaming and (directory / str(number)).exists()):
            return False
        raise
    return True


def _place(file: Path, target: Path) -> None:
    """Give the file its name.

    Raises:
        FileExistsError: there is a file of that name.
    """
    try:
        os.link(file, target)  # unlike a rename, it never takes the place of another file
    except FileExistsError:
        raise
    except OSError:  # a disk without links
        if target.exists():
            raise FileExistsError(target) from None
        file.rename(target)
