"""Where arrays live: in memory when they are small, else once on disk and read by row.

So do the features that a frozen network makes of images, once for all epochs. They are bfloat16, kept as bits
in uint16, for NumPy files have no name for it.
"""

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from attention_keras.data.rows import DiskRows, Rows
from attention_keras.errors import UserError

DEFAULT_MEMORY_LIMIT = 1 << 30
_UNFINISHED = "unfinished-"
_DAY = 24 * 3600

Columns = dict[str, tuple[tuple[int, ...], str]]
"""Name to shape and type."""
Fill = Callable[[dict[str, np.ndarray]], None]
"""Writes every row of the arrays."""


@dataclass(frozen=True)
class ArrayStore:
    """Keeps arrays in memory, or those of more than `memory_limit` bytes as files in `cache_dir`."""

    memory_limit: int = DEFAULT_MEMORY_LIMIT
    cache_dir: str | Path | None = None

    def fits(self, columns: Columns) -> bool:
        return _size(columns) <= self.memory_limit

    def build(self, key: str, columns: Columns, fill: Fill) -> dict[str, np.ndarray | DiskRows]:
        """Arrays that `fill` writes, or those that an earlier call with this key left on disk.

        Whatever changes the content must change `key`. Columns of more than one axis come as `DiskRows`.
        """
        if self.fits(columns):
            arrays = {name: np.empty(shape, dtype) for name, (shape, dtype) in columns.items()}
            fill(arrays)
            return arrays
        caches = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
        parent = Path(self.cache_dir or caches / "attention_keras").expanduser()
        folder = parent / hashlib.sha256(key.encode()).hexdigest()[:24]
        if not folder.is_dir():
            try:
                _write(folder, columns, fill)
            except OSError as error:
                advice = "make room there" if self.cache_dir else "set XDG_CACHE_HOME to a folder with room"
                raise UserError(
                    f"cannot keep {_size(columns) / 1e9:.1f} GB in {parent}: {error.strerror}; {advice}"
                ) from None
        try:
            stored = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in columns}
        except (OSError, ValueError) as error:
            raise UserError(f"cannot read the cache {folder}: {error}; delete that folder") from None
        return {name: np.array(rows) if rows.ndim == 1 else DiskRows(rows) for name, rows in stored.items()}


def _write(folder: Path, columns: Columns, fill: Fill) -> None:
    """Fill arrays under a temporary name; the folder appears complete or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(f"{_UNFINISHED}*"):
        with contextlib.suppress(OSError):  # another process may delete it too
            if time.time() - max(path.stat().st_mtime for path in (left, *left.iterdir())) > _DAY:
                shutil.rmtree(left)  # whoever wrote to it has died
    with tempfile.TemporaryDirectory(prefix=_UNFINISHED, dir=folder.parent) as name:
        unfinished = Path(name)
        if _size(columns) > shutil.disk_usage(folder.parent).free:
            # Told before it happens: writing to a mapped file on a full disk would kill the process.
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        arrays = {
            name: np.lib.format.open_memmap(unfinished / f"{name}.npy", "w+", dtype, shape)
            for name, (shape, dtype) in columns.items()
        }
        fill(arrays)
        for array in arrays.values():
            array.flush()
        try:
            unfinished.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was faster, with the same content
                raise


def _size(columns: Columns) -> int:
    return sum(np.dtype(dtype).itemsize * int(np.prod(shape)) for shape, dtype in columns.values())


def _bits(values) -> np.ndarray:
    import tensorflow as tf

    return tf.bitcast(tf.cast(values, tf.bfloat16), tf.uint16).numpy()


def _floats(bits: np.ndarray) -> np.ndarray:
    """A bfloat16 is the upper half of a float32."""
    return (bits.astype("uint32") << 16).view("float32")


class Floats(DiskRows):
    """Features of one tensor, in memory or not, read as float32."""

    def read(self, numbers: np.ndarray) -> np.ndarray:
        return _floats(super().read(numbers))


def keep_features(
    batches: Iterator[Sequence], shapes: Sequence[tuple], count: int, store: ArrayStore
) -> tuple[Floats, ...]:
    """Features of `count` images in place of their pixels: batches of a tensor for each of `shapes`."""

    def fill(arrays: dict[str, np.ndarray]) -> None:
        done = 0
        for tensors in batches:
            for array, tensor in zip(arrays.values(), tensors):
                array[done : done + len(tensor)] = _bits(tensor)
            done += len(tensors[0])

    columns = {f"feature_{n}": ((count, *shape), "uint16") for n, shape in enumerate(shapes)}
    features = tuple(map(Floats, store.build("features", columns, fill).values()))
    if len(features[0]) != count:
        raise UserError(f"the features in {store.cache_dir} are not those of this run; delete that folder")
    return features


class MapFiles(Rows):
    """Maps `(h, w, c)` of several sizes, each in a file of its own, read as float32 `(b, h, w, c)`.

    Rows that are read together are padded with zeros to the largest of them; `valid` says where.
    """

    def __init__(self, files: Sequence[Path]):
        self._files = files
        self._sizes = np.array([np.load(file, mmap_mode="r").shape for file in files])
        super().__init__(len(files), tuple(self._sizes.max(axis=0).tolist()))

    @classmethod
    def kept(cls, folder: Path, count: int, compute: Callable[[int], Iterable[np.ndarray]]) -> "MapFiles":
        """`compute` gives a map that is not in the folder, in bands; one is there whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        files = [folder / f"{row:07d}.npy" for row in range(count)]
        for row, file in enumerate(files):
            if not file.exists():
                bands = [_bits(band) for band in compute(row)]
                with tempfile.NamedTemporaryFile(dir=folder, delete=False) as unfinished:
                    np.save(unfinished, np.concatenate(bands), allow_pickle=False)
                os.replace(unfinished.name, file)
        return cls(files)

    def read(self, numbers: np.ndarray) -> np.ndarray:
        maps = np.zeros((len(numbers), *self._sizes[numbers].max(axis=0)), "float32")
        for padded, number in zip(maps, numbers):
            height, width, _ = self._sizes[number]
            padded[:height, :width] = _floats(np.load(self._files[number], mmap_mode="r"))
        return maps

    def valid(self, rows) -> np.ndarray:
        """Which places of `self[rows]` are no padding: `(b, h * w)` bool."""
        sizes = self._sizes[rows]
        height, width, _ = sizes.max(axis=0)
        tall, wide = np.arange(height) < sizes[:, :1], np.arange(width) < sizes[:, 1:2]
        return (tall[:, :, None] & wide[:, None]).reshape(len(sizes), -1)
