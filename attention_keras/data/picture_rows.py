"""Pictures in their files as rows of an array: decoded when they are indexed, and not kept."""

import errno
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from attention_keras.data.geometry import PictureFormat
from attention_keras.data.image_files import UnreadableImage, open_image, read_image
from attention_keras.data.resized_crop import resized_crop
from attention_keras.errors import UserError

GONE = (0, 0)


@dataclass(frozen=True, eq=False)
class PictureRows:
    """An array `(n, h, w, 3)` uint8 that is nowhere: each row is what `read_image` makes of a file.

    Attributes:
        files: `(n,)` paths.
        states: `(n, 2)` int64, `file_state` of each when it was found good. A file that has another one since
            is refused, for what a run learns from must not change under it.
        to: size `(h, w)` of the rows, and how it is reached.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from PIL import Image
        >>> with TemporaryDirectory() as folder:
        ...     file = Path(folder, "grey.png")
        ...     Image.new("RGB", (60, 40), (9, 9, 9)).save(file)
        ...     to = PictureFormat((32, 32), "crop")
        ...     rows = PictureRows(np.array([file]), np.array([file_state(file)]), to)
        ...     rows.shape, rows[[0, 0]].shape, rows.crops([0], [[0.1, 0.2, 0.3, 0.4]]).shape
        ((1, 32, 32, 3), (2, 32, 32, 3), (1, 32, 32, 3))
    """

    files: np.ndarray
    states: np.ndarray
    to: PictureFormat

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index) -> np.ndarray:
        rows = np.arange(len(self))[index]
        images = self._decoded(self._whole, rows.reshape(-1))
        return images.reshape(*rows.shape, *images.shape[1:])

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.asarray(self[:], dtype)

    def crops(self, rows: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """Random-resized crops.

        Args:
            rows: `(b,)` row numbers.
            draws: `(b, 4)` in [0, 1), which decide the part of each picture, see `random_box`.

        Returns:
            `(b, h, w, 3)` uint8.
        """
        return self._decoded(self._part, rows, draws)

    def select(self, index) -> "PictureRows":
        """The rows at `index`, still in their files."""
        return replace(self, files=self.files[index], states=self.states[index])

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (len(self), *self.to.size, 3)

    @property
    def dtype(self) -> np.dtype:
        return np.dtype("uint8")

    @property
    def ndim(self) -> int:
        return 4

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype="int64"))

    def _whole(self, file: Path) -> np.ndarray:
        return read_image(file, self.to)

    def _part(self, file: Path, draws: np.ndarray) -> np.ndarray:
        with open_image(file, self.to.megapixels) as image:
            return resized_crop(image, draws, self.to.size, self.to.resize)

    def _decoded(self, decode: Callable[..., np.ndarray], rows: Iterable[int], *arguments) -> np.ndarray:
        """What `decode` makes of each file, in order.

        Raises:
            UserError: a file is not there any more, or not what it was.
        """

        def read(row: int, *own) -> np.ndarray:
            file = self.files[row]
            name = str(file).encode("utf-8", "backslashreplace").decode()
            try:
                pixels = decode(file, *own)
                found = file_state(file)
                if found == GONE:  # since it was decoded
                    raise UnreadableImage(os.strerror(errno.ENOENT))
            except UnreadableImage as reason:
                raise UserError(f"{name} can no longer be read: {reason}; put it back") from None
            if found != tuple(self.states[row]):
                raise UserError(f"{name} has changed since it was found good; put it back as it was")
            return pixels

        images = list(_decoders().map(read, rows, *arguments))
        return np.stack(images) if images else np.empty((0, *self.shape[1:]), "uint8")


def file_state(file: Path) -> tuple[int, int]:
    """Bytes and time of the last change, which tell whether a file is what it was; `GONE` without one."""
    try:
        found = file.stat()
    except OSError:
        return GONE
    return found.st_size, found.st_mtime_ns


@cache
def _decoders() -> ThreadPoolExecutor:
    """One pool for all readers: no more pictures are in memory at full size than there are cores."""
    return ThreadPoolExecutor(os.cpu_count())
