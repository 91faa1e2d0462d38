"""Files that are whole or not there, also after a crash."""

import os
from pathlib import Path


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


def flush(path: Path) -> None:
    """Have the file or the directory's entries on the disk before going on."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
