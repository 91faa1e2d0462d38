"""Files that are whole or not there, also after a crash, and folders that one process holds alone."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attention_keras.errors import UserError


def write_whole(path: Path, content: bytes) -> None:
    """Write beside and rename in: a reader, or a crash, sees the old content or the new, nothing between."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """UTF-8, whole or not there; a disk that is full or read-only raises UserError."""
    try:
        write_whole(path, text.encode())
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"cannot write {path}: {reason}; make room and run the same command again") from None


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2) + "\n")


def flush(path: Path) -> None:
    """Have the file or the directory's entries on the disk before going on."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def writing_to(folder: Path, instead: str = "another folder") -> Iterator[None]:
    """What the system refuses inside, in a line that says to choose something `instead`."""
    try:
        yield
    except (OSError, NotImplementedError) as error:  # the second from a file system without locks
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"cannot write to {folder}: {reason}; choose {instead}") from None


def hold_alone(lock: Path, busy: str, instead: str = "another folder") -> contextlib.AbstractContextManager:
    """The lock in a folder that is made, held until the context ends; UserError `busy` if another has it."""
    from filelock import FileLock, Timeout  # reading runs, as the library does, needs no such package

    with writing_to(lock.parent, instead):
        lock.parent.mkdir(parents=True, exist_ok=True)
        try:
            return FileLock(lock, timeout=0).acquire()
        except Timeout:
            raise UserError(busy) from None
