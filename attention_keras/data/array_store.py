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

from attention_keras.errors import UserError

DEFAULT_MEMORY_LIMIT = 1 << 30
_META = "store.json"
_UNFINISHED = "unfinished-"
_DAY = 24 * 3600

# Column name to (shape, dtype); the first axis of every column is the row.
Columns = dict[str, tuple[tuple[int, ...], str]]


@dataclass(frozen=True, eq=False)
class DiskRows:
    """Chosen rows of an array on disk; reads what is indexed and nothing else.

    Attributes:
        stored: `(m, ...)` memory map.
        rows: `(n,)` row numbers into it.

    Example:
        >>> rows = DiskRows(np.arange(12).reshape(4, 3), np.array([3, 1]))
        >>> rows.shape, rows[0].tolist(), rows[:].shape
        ((2, 3), [9, 10, 11], (2, 3))
    """

    stored: np.ndarray
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index) -> np.ndarray:
        return np.asarray(self.stored[self.rows[index]])

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.asarray(self[:], dtype)

    def select(self, index) -> "DiskRows":
        """The rows at `index`, still on disk."""
        return DiskRows(self.stored, self.rows[index])

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.rows), *self.stored.shape[1:])

    @property
    def dtype(self) -> np.dtype:
        return self.stored.dtype

    @property
    def ndim(self) -> int:
        return self.stored.ndim

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype="int64"))


@dataclass(frozen=True)
class ArrayStore:
    """Decides where arrays live.

    Attributes:
        memory_limit: bytes; a split with more goes to disk.
        cache_dir: folder for such splits; by default `attention_keras` in the user's cache folder.
    """

    memory_limit: int = DEFAULT_MEMORY_LIMIT
    cache_dir: str | Path | None = None

    def fits(self, columns: Columns) -> bool:
        """Whether these arrays stay in memory."""
        return _size(columns) <= self.memory_limit

    def build(
        self, key: str, columns: Columns, fill: Callable[[dict[str, np.ndarray]], int]
    ) -> dict[str, np.ndarray | DiskRows]:
        """Arrays that `fill` writes, or the ones an earlier call with this key left on disk.

        Args:
            key: names the content; anything that changes the content must change it.
            columns: what arrays, with room for as many rows as there can be.
            fill: writes the rows it has from the top and returns how many those are.

        Returns:
            The arrays by name; on disk, columns of more than one axis come as `DiskRows`.

        Raises:
            UserError: the folder cannot be written.
        """
        if self.fits(columns):
            arrays = {name: np.empty(shape, dtype) for name, (shape, dtype) in columns.items()}
            count = fill(arrays)
            return {name: array[:count] for name, array in arrays.items()}
        folder = self._folder() / hashlib.sha256(key.encode()).hexdigest()[:24]
        if not folder.is_dir():
            try:
                _write(folder, key, columns, fill)
            except OSError as error:
                gigabytes = _size(columns) / 1e9
                advice = "make room there" if self.cache_dir else "set XDG_CACHE_HOME to a folder with room"
                raise UserError(
                    f"cannot keep {gigabytes:.1f} GB in {folder.parent}: {error.strerror}; {advice}"
                ) from None
        return _open(folder, columns)

    def _folder(self) -> Path:
        caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        return Path(self.cache_dir or Path(caches) / "attention_keras").expanduser()


def _write(folder: Path, key: str, columns: Columns, fill) -> None:
    """Fill arrays under a temporary name; the folder appears complete or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    _clear_abandoned(folder.parent)
    unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=folder.parent))
    try:
        _refuse_full_disk(folder.parent, _size(columns))
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


def _refuse_full_disk(folder: Path, size: int) -> None:
    """Raise before the disk is full: writing to a mapped file on a full one would kill the process."""
    if size > shutil.disk_usage(folder).free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _size(columns: Columns) -> int:
    """Bytes of all columns."""
    return sum(np.dtype(dtype).itemsize * int(np.prod(shape)) for shape, dtype in columns.values())


def _open(folder: Path, columns: Columns) -> dict[str, np.ndarray | DiskRows]:
    try:
        rows = np.arange(json.loads((folder / _META).read_text(encoding="utf-8"))["rows"])
        stored = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in columns}
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"cannot read the cache {folder}: {error}; delete that folder") from None
    return {
        name: np.array(array[: len(rows)]) if array.ndim == 1 else DiskRows(array, rows)
        for name, array in stored.items()
    }
