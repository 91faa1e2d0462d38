"""What a frozen network makes of the images, once for all epochs: bfloat16, in memory or on disk.

It is kept as bits, in uint16: NumPy files have no name for bfloat16.
"""

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from attention_keras.data.array_store import ArrayStore
from attention_keras.data.rows import DiskRows
from attention_keras.errors import UserError


def _bits(values) -> np.ndarray:
    return tf.bitcast(tf.cast(values, tf.bfloat16), tf.uint16).numpy()


@dataclass(frozen=True, eq=False)
class Floats:
    """Features as they are kept, read as float32."""

    bits: np.ndarray | DiskRows

    @property
    def shape(self) -> tuple[int, ...]:
        return self.bits.shape

    def __len__(self) -> int:
        return len(self.bits)

    def __getitem__(self, rows) -> np.ndarray:
        bits = self.bits[rows]
        halves = np.zeros((*bits.shape, 2), "uint16")  # a bfloat16 is the upper half of a float32
        halves[..., 1] = bits
        return halves.view("float32")[..., 0]


@dataclass(frozen=True, eq=False)
class FeatureRows:
    """Several tensors `(n, ...)` in place of pixels."""

    columns: tuple[np.ndarray | DiskRows, ...]

    def __len__(self) -> int:
        return len(self.columns[0])

    @classmethod
    def kept(
        cls, batches: Iterator[Sequence[tf.Tensor]], shapes: Sequence[tuple], count: int, store: ArrayStore
    ) -> "FeatureRows":
        """Features of `count` images, computed batch by batch and kept where `store` says.

        Each of `batches` has a tensor `(b, ...)` for each of `shapes`. The folder of `store` holds these
        features and nothing else.
        """
        columns = {f"feature_{n}": ((count, *shape), "uint16") for n, shape in enumerate(shapes)}

        def fill(arrays: dict[str, np.ndarray]) -> int:
            done = 0
            for tensors in batches:
                for array, tensor in zip(arrays.values(), tensors):
                    array[done : done + len(tensor)] = _bits(tensor)
                done += len(tensors[0])
            return done

        features = cls(tuple(store.build("features", columns, fill).values()))
        if len(features) != count:
            raise UserError(
                f"the features in {store.cache_dir} are not those of this run; delete that folder"
            )
        return features


@dataclass(frozen=True, eq=False)
class MapFiles:
    """Maps `(h, w, c)` of several sizes, each in a file of its own, read as float32 `(b, h, w, c)`.

    Rows that are read together are padded with zeros to the largest of them; `valid` says where.
    """

    files: tuple[Path, ...]
    sizes: np.ndarray

    @classmethod
    def kept(cls, folder: Path, count: int, compute: Callable[[int], Iterable[np.ndarray]]) -> "MapFiles":
        """`count` maps in a folder; `compute` gives one that is not there yet, in bands `(h, w, c)`.

        A map is there whole or not at all, so that whoever was stopped goes on with the next one.
        """
        folder.mkdir(parents=True, exist_ok=True)
        files = tuple(folder / f"{row:07d}.npy" for row in range(count))
        for row, file in enumerate(files):
            if not file.exists():
                bands = [_bits(band) for band in compute(row)]
                with tempfile.NamedTemporaryFile(dir=folder, delete=False) as unfinished:
                    np.save(unfinished, np.concatenate(bands), allow_pickle=False)
                os.replace(unfinished.name, file)
        return cls(files, np.array([np.load(file, mmap_mode="r").shape for file in files]))

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The largest height and width stand for all."""
        return len(self), *self.sizes.max(axis=0).tolist()

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, rows) -> np.ndarray:
        numbers = np.arange(len(self))[rows]
        maps = np.zeros((len(numbers), *self.sizes[numbers].max(axis=0)), "float32")
        for padded, row in zip(maps, numbers):
            height, width, _ = self.sizes[row]
            padded[:height, :width] = Floats(np.load(self.files[row], mmap_mode="r"))[:]
        return maps

    def valid(self, rows) -> np.ndarray:
        """Which places of `self[rows]` are no padding: `(b, h * w)` bool."""
        sizes = self.sizes[rows]
        height, width, _ = sizes.max(axis=0)
        inside = np.arange(height)[None] < sizes[:, :1], np.arange(width)[None] < sizes[:, 1:2]
        return (inside[0][:, :, None] & inside[1][:, None]).reshape(len(sizes), -1)
