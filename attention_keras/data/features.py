"""What a frozen network makes of the images, once for all epochs: bfloat16, in memory or on disk."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from attention_keras.data.array_store import ArrayStore
from attention_keras.data.rows import DiskRows
from attention_keras.errors import UserError


@dataclass(frozen=True, eq=False)
class Floats:
    """Features as they are kept, bits of bfloat16, read as float32."""

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
    """Several tensors `(n, ...)` in place of pixels, as uint16: NumPy files have no name for bfloat16."""

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
        names = [f"feature_{number}" for number in range(len(shapes))]
        columns = {name: ((count, *shape), "uint16") for name, shape in zip(names, shapes)}

        def fill(arrays: dict[str, np.ndarray]) -> int:
            done = 0
            for tensors in batches:
                for name, tensor in zip(names, tensors):
                    bits = tf.bitcast(tf.cast(tensor, tf.bfloat16), tf.uint16).numpy()
                    arrays[name][done : done + len(bits)] = bits
                done += len(bits)
            return done

        features = cls(tuple(store.build("features", columns, fill).values()))
        if len(features) != count:
            raise UserError(
                f"the features in {store.cache_dir} are not those of this run; delete that folder"
            )
        return features
