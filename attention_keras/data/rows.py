"""Rows of a split that are not an array in memory: in a file of arrays, in image files, or made of boxes."""

import copy
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import numpy as np

from attention_keras.data.image_files import UnreadableImage, read_bands
from attention_keras.data.images import PictureFormat, read_image, read_part
from attention_keras.errors import UserError

_DECODERS = ThreadPoolExecutor(os.cpu_count())
"""One pool for all readers: no more images are in memory at full size than there are cores."""


class Rows(ABC):
    """An array `(n, *form)` whose rows are read when they are indexed, by any index of an array's rows."""

    def __init__(self, count: int, form: tuple[int | None, ...]):
        self.numbers, self.form = np.arange(count), form

    @abstractmethod
    def read(self, numbers: np.ndarray) -> np.ndarray:
        """The rows of these numbers, or the row of one number."""

    @property
    def shape(self) -> tuple[int | None, ...]:
        return len(self.numbers), *self.form

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index) -> np.ndarray:
        return self.read(self.numbers[index])

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.asarray(self[:], dtype)

    def take(self, index) -> Self:
        """The rows at an index, still unread."""
        taken = copy.copy(self)
        taken.numbers = self.numbers[index]
        return taken


class DiskRows(Rows):
    """Rows of a memory map."""

    def __init__(self, stored: np.ndarray | Rows):
        super().__init__(len(stored), stored.shape[1:])
        self.stored = stored

    def read(self, numbers: np.ndarray) -> np.ndarray:
        return np.asarray(self.stored[numbers])


class BoxMasks(Rows):
    """Masks `(n, h, w)` of boxes `(n, 4)`: the pixels with their centre in it."""

    def __init__(self, boxes: np.ndarray, size: tuple[int, int]):
        super().__init__(len(boxes), size)
        self._boxes = boxes

    def read(self, numbers: np.ndarray) -> np.ndarray:
        y0, x0, y1, x1 = self._boxes[numbers].T[..., None]
        y, x = (np.arange(length) + 0.5 for length in self.form)
        return ((y0 <= y) & (y < y1))[:, :, None] & ((x0 <= x) & (x < x1))[:, None, :]


class ImageRows(Rows):
    """Images `(n, h, w, c)` uint8 that are decoded from their files when they are indexed, and not kept.

    `states` `(n, 2)` are the `file_state` of each file when it was found good. A file that has another one
    since is refused, for what a run learns from must not change under it. With `to` None they stay of the
    size that they have, and are read by `bands`.
    """

    def __init__(self, files: np.ndarray, states: np.ndarray, to: PictureFormat | None):
        super().__init__(len(files), (*to.size, to.channels) if to else (None, None, 3))
        self._files, self._states, self.to = files, states, to

    @property
    def files(self) -> np.ndarray:
        return self._files[self.numbers]

    def read(self, numbers: np.ndarray) -> np.ndarray:
        images = self._decoded(read_image, numbers.reshape(-1))
        return images.reshape(*numbers.shape, *images.shape[1:])

    def crops(self, rows: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """Random-resized crops of `rows` `(b,)`; `draws` `(b, 4)` in [0, 1) decide which parts."""
        return self._decoded(read_part, self.numbers[rows], draws)

    def bands(self, row: int, height: int) -> Iterator[np.ndarray]:
        """The image of a row from top to bottom, in bands `(height, W, 3)` uint8."""
        with self._as_it_was(self.numbers[row]) as file:
            yield from read_bands(file, height)

    def _decoded(self, decode: Callable[..., np.ndarray], numbers: Iterable[int], *arguments) -> np.ndarray:
        def read(number: int, *own) -> np.ndarray:
            with self._as_it_was(number) as file:
                return decode(file, self.to, *own)

        images = list(_DECODERS.map(read, numbers, *arguments))
        return np.stack(images) if images else np.empty((0, *self.form), "uint8")

    @contextmanager
    def _as_it_was(self, number: int) -> Iterator[Path]:
        """A file; UserError if it cannot be read inside, or is not what it was."""
        file = Path(self._files[number])
        name = str(file).encode("utf-8", "backslashreplace").decode()
        try:
            yield file
        except UnreadableImage as reason:
            raise UserError(f"{name} can no longer be read: {reason}; put it back") from None
        if file_state(file) != tuple(self._states[number]):
            raise UserError(f"{name} has changed since it was found good; put it back as it was")


def file_state(file: Path) -> tuple[int, int]:
    """Bytes and time of the last change, which tell whether a file is what it was; zeros without one."""
    try:
        found = os.stat(file)
    except (OSError, ValueError):
        return 0, 0
    return found.st_size, found.st_mtime_ns
