"""Rows of a split that are not an array in memory: in a file of arrays, in image files, or made of boxes.

All of them answer what an array of the same shape would: `len`, `shape`, and the rows at an index, which may
be a number, a slice, or an array of row numbers or of truth values. `take` gives rows that are still unread.
"""

import errno
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np

from attention_keras.data.bands import read_bands
from attention_keras.data.geometry import PictureFormat
from attention_keras.data.images import UnreadableImage, read_image, read_part
from attention_keras.errors import UserError

GONE = (0, 0)


class Rows(ABC):
    """Rows as of an array `(n, ...)`, read when they are indexed."""

    shape: tuple[int, ...]
    dtype: np.dtype

    @abstractmethod
    def __getitem__(self, index) -> np.ndarray: ...
    @abstractmethod
    def take(self, index) -> "Rows": ...

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.asarray(self[:], dtype)


class DiskRows(Rows):
    """Rows of a memory map."""

    def __init__(self, stored: np.ndarray, rows: np.ndarray | None = None):
        self._stored, self._rows = stored, np.arange(len(stored)) if rows is None else rows
        self.shape, self.dtype = (len(self._rows), *stored.shape[1:]), stored.dtype

    def __getitem__(self, index) -> np.ndarray:
        return np.asarray(self._stored[self._rows[index]])

    def take(self, index) -> "DiskRows":
        return DiskRows(self._stored, self._rows[index])


class BoxMasks(Rows):
    """Masks `(n, h, w)` of boxes `(n, 4)`, made when they are read: the pixels with their centre in it."""

    def __init__(self, boxes: np.ndarray, size: tuple[int, int]):
        self._boxes, self._size = boxes, size
        self.shape, self.dtype = (len(boxes), *size), np.dtype(bool)

    def __getitem__(self, index) -> np.ndarray:
        y0, x0, y1, x1 = self._boxes[index].T[..., None]
        y, x = (np.arange(length) + 0.5 for length in self._size)
        return ((y0 <= y) & (y < y1))[:, :, None] & ((x0 <= x) & (x < x1))[:, None, :]

    def take(self, index) -> "BoxMasks":
        return BoxMasks(self._boxes[index], self._size)


class ImageRows(Rows):
    """Images `(n, h, w, c)` uint8 that are decoded from their files when they are indexed, and not kept.

    `states` `(n, 2)` are the `file_state` of each file when it was found good. A file that has another one
    since is refused, for what a run learns from must not change under it. With `to` None they stay of the
    size that they have, and are read by `bands`.
    """

    def __init__(self, files: np.ndarray, states: np.ndarray, to: PictureFormat | None):
        self.files, self.states, self.to = files, states, to
        form = (*to.size, to.channels) if to else (None, None, 3)
        self.shape, self.dtype = (len(files), *form), np.dtype("uint8")

    def __getitem__(self, index) -> np.ndarray:
        rows = np.arange(len(self))[index]
        images = self._decoded(read_image, rows.reshape(-1))
        return images.reshape(*rows.shape, *images.shape[1:])

    def take(self, index) -> "ImageRows":
        return ImageRows(self.files[index], self.states[index], self.to)

    def crops(self, rows: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """Random-resized crops of `rows` `(b,)`; `draws` `(b, 4)` in [0, 1) decide which parts."""
        return self._decoded(read_part, rows, draws)

    def bands(self, row: int, height: int) -> Iterator[np.ndarray]:
        """The image of a row from top to bottom, in bands `(height, W, 3)` uint8."""
        with self._as_it_was(row) as file:
            yield from read_bands(file, height)

    def _decoded(self, decode: Callable[..., np.ndarray], rows: Iterable[int], *arguments) -> np.ndarray:
        """What `decode` makes of each file, in order."""

        def read(row: int, *own) -> np.ndarray:
            with self._as_it_was(row) as file:
                return decode(file, self.to, *own)

        images = list(_decoders().map(read, rows, *arguments))
        return np.stack(images) if images else np.empty((0, *self.shape[1:]), "uint8")

    @contextmanager
    def _as_it_was(self, row: int) -> Iterator[Path]:
        """The file of a row; UserError if it cannot be read inside, or is not what it was."""
        file = Path(self.files[row])
        name = str(file).encode("utf-8", "backslashreplace").decode()
        try:
            yield file
            found = file_state(file)
            if found == GONE:  # since it was decoded
                raise UnreadableImage(os.strerror(errno.ENOENT))
        except UnreadableImage as reason:
            raise UserError(f"{name} can no longer be read: {reason}; put it back") from None
        if found != tuple(self.states[row]):
            raise UserError(f"{name} has changed since it was found good; put it back as it was")


def file_state(file: Path) -> tuple[int, int]:
    """Bytes and time of the last change, which tell whether a file is what it was; `GONE` without one."""
    try:
        found = os.stat(file)
    except (OSError, ValueError):
        return GONE
    return found.st_size, found.st_mtime_ns


@cache
def _decoders() -> ThreadPoolExecutor:
    """One pool for all readers: no more images are in memory at full size than there are cores."""
    return ThreadPoolExecutor(os.cpu_count())
