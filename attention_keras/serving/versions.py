"""Version directories as TF Serving reads them, and publishing a new one by a single rename."""

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


def refuse_taken(directory: Path, version: int | None) -> None:
    """Versions are never overwritten.

    Raises:
        UserError: `version` is there already, or is no version number.
    """
    if version is None:
        return
    if not 0 <= version <= LARGEST:
        raise UserError(f"version must be a number from 0 to {LARGEST}; got {version}")
    taken = versions(directory).get(version)
    if taken is not None:
        raise UserError(f"{taken} exists already; leave the version out to get the next one")


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


def publish(unfinished: Path, directory: Path, version: int | None) -> Path:
    """Rename into place; where another exporter took the number first, the next one is taken.

    Raises:
        UserError: the version that was asked for is there already.
    """
    for path in (unfinished, *unfinished.rglob("*")):
        flush(path)
    while True:
        refuse_taken(directory, version)
        target = directory / str(version if version is not None else max(versions(directory), default=0) + 1)
        try:
            # Renaming a directory fails when the target is there, unless that is an empty directory.
            unfinished.rename(target)
        except OSError:
            if not target.exists():
                raise
        else:
            flush(directory)
            return target
