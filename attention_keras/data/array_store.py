"""Where a split's arrays live: in memory when they are small, else once on disk and read by row."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from attention_keras.data.rows import DiskRows
from attention_keras.errors import UserError

DEFAULT_MEMORY_LIMIT = 1 << 30
_META = "store.json"
_UNFINISHED = "unfinished-"
_DAY = 24 * 3600

# Column name to (shape, dtype); the first axis of every column is the row.
Columns = dict[str, tuple[tuple[int, ...], str]]
# Writes the rows that it has from the top of arrays, and returns how many those are.
Fill = Callable[[dict[str, np.ndarray]], int]


@dataclass(frozen=True)
class ArrayStore:
    """Keeps arrays in memory, or those of more than `memory_limit` bytes as files in `cache_dir`."""

    memory_limit: int = DEFAULT_MEMORY_LIMIT
    cache_dir: str | Path | None = None

    def fits(self, columns: Columns) -> bool:
        """Whether these arrays stay in memory."""
        return _size(columns) <= self.memory_limit

    def build(self, key: str, columns: Columns, fill: Fill) -> dict[str, np.ndarray | DiskRows]:
        """Arrays that `fill` writes, or the ones that an earlier call with this key left on disk.

        Whatever changes the content must change `key`. `columns` have room for as many rows as there can be.
        On disk, columns of more than one axis come as `DiskRows`.
        """
        if self.fits(columns):
            arrays = {name: np.empty(shape, dtype) for name, (shape, dtype) in columns.items()}
            count = fill(arrays)
            return {name: array[:count] for name, array in arrays.items()}
        caches = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
        parent = Path(self.cache_dir or caches / "attention_keras").expanduser()
        folder = parent / hashlib.sha256(key.encode()).hexdigest()[:24]
        if not folder.is_dir():
            try:
                _write(folder, key, columns, fill)
            except OSError as error:
                advice = "make room there" if self.cache_dir else "set XDG_CACHE_HOME to a folder with room"
                raise UserError(
                    f"cannot keep {_size(columns) / 1e9:.1f} GB in {parent}: {error.strerror}; {advice}"
                ) from None
        try:
            count = json.loads((folder / _META).read_text(encoding="utf-8"))["rows"]
            stored = {name: np.load(folder / f"{name}.npy", mmap_mode="r")[:count] for name in columns}
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f"cannot read the cache {folder}: {error}; delete that folder") from None
        return {name: np.array(rows) if rows.ndim == 1 else DiskRows(rows) for name, rows in stored.items()}


def _write(folder: Path, key: str, columns: Columns, fill: Fill) -> None:
    """Fill arrays under a temporary name; the folder appears complete or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    _clear_abandoned(folder.parent)
    unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=folder.parent))
    try:
        if _size(columns) > shutil.disk_usage(folder.parent).free:
            # Told before it happens: writing to a mapped file on a full disk would kill the process.
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        arrays = {
            name: np.lib.format.open_memmap(unfinished / f"{name}.npy", "w+", dtype, shape)
            for name, (shape, dtype) in columns.items()
        }
        count = fill(arrays)
        for array in arrays.values():
            array.flush()
        (unfinished / _META).write_text(json.dumps({"key": key, "rows": count}), encoding="utf-8")
        try:
            unfinished.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was faster, with the same content
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _clear_abandoned(folder: Path) -> None:
    """Delete what processes that died left behind: nothing has been written to it for a day."""
    for left in folder.glob(f"{_UNFINISHED}*"):
        with contextlib.suppress(OSError):  # another process may delete it too
            last = max(path.stat().st_mtime for path in [left, *left.iterdir()])
            if time.time() - last > _DAY:
                shutil.rmtree(left)


def _size(columns: Columns) -> int:
    return sum(np.dtype(dtype).itemsize * int(np.prod(shape)) for shape, dtype in columns.values())
