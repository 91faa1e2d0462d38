"""Features of images that a frozen network has computed once: bfloat16, in memory or on disk."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from attention_keras.data.array_store import ArrayStore, DiskRows
from attention_keras.errors import UserError


@dataclass(frozen=True, eq=False)
class FeatureRows:
    """Several tensors for each image, in place of its pixels in a `Split`.

    Attributes:
        columns: for each tensor `(n, ...)` uint16, the bits of bfloat16, which NumPy files have no name for.
    """

    columns: tuple[np.ndarray | DiskRows, ...]

    def __len__(self) -> int:
        return len(self.columns[0])

    @classmethod
    def kept(
        cls, batches: Iterator[Sequence[tf.Tensor]], shapes: Sequence[tuple], count: int, store: ArrayStore
    ) -> "FeatureRows":
        """Features that are computed batch by batch, kept where `store` says.

        Args:
            batches: for each batch of images its tensors, `(b, ...)` floating point.
            shapes: of the tensors of one image.
            count: n.
            store: of a folder that holds nothing but these features.

        Raises:
            UserError: the folder cannot be written.
        """
        names = [f"feature_{place}" for place in range(len(shapes))]
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
