"""Many rows through a function that takes a batch of them."""

import contextlib
from collections.abc import Callable

import keras
import numpy as np


def in_batches(call: Callable, arrays, size: int, *, progress: bool = False):
    """`call` on every batch of one array or of several; results joined, in the structure it returns.

    Rows of a file are read as they are needed. `progress` shows a bar on a terminal after a few seconds.
    """
    arrays = arrays if isinstance(arrays, tuple) else (arrays,)
    count, parts = len(arrays[0]), []
    with _bar(count) if progress else contextlib.nullcontext() as bar:
        for start in range(0, count, size):
            parts.append(call(*(np.asarray(array[start : start + size]) for array in arrays)))
            if bar is not None:
                bar.update(min(size, count - start))
    return keras.tree.map_structure(lambda *values: np.concatenate(values), *parts)


def _bar(count: int):
    from attention_keras.progress import Bar  # the core of the package has no tqdm

    return Bar(total=count, unit=" images")
