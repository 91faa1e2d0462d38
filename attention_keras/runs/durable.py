"""Files that are whole or not there, also after a crash, and folders that one process holds alone."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attention_keras.errors import UserError


@contextlib.contextmanager
def writing_to(folder: Path, instead: str = "another folder") -> Iterator[None]:
    """What the system refuses inside, in a line that says to choose something `instead`."""
    try:
        yield
    except (OSError, NotImplementedError) as error:  # the second from a file system without locks
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"cannot write to {folder}: {reason}; choose {instead}") from None


@contextlib.contextmanager
def whole(path: Path, temporary: Path) -> Iterator[None]:
    """Inside, write to `temporary`, which then becomes `path`: a crash leaves the old content or the new."""
    try:
        with writing_to(path, instead="another place, or make room, and run the same command again"):
            yield
            flush(temporary)
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    with whole(path, temporary):
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    write_whole(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2) + "\n")


def flush(path: Path) -> None:
    """Have the file or the directory's entries on the disk before going on."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def hold_alone(lock: Path, busy: str, instead: str = "another folder") -> contextlib.AbstractContextManager:
    """The lock in a folder that is made, held until the context ends; UserError `busy` if another has it."""
    from filelock import FileLock, Timeout  # reading runs, as the library does, needs no such package

    with writing_to(lock.parent, instead):
        lock.parent.mkdir(parents=True, exist_ok=True)
        try:
            return FileLock(lock, timeout=0).acquire()
        except Timeout:
            raise UserError(busy) from None
