"""Images of more than 8 bits: whether there are any, and the range of their values."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from attention_keras.data.images import UnreadableImage, array_of, is_deep, open_image

_FEW = 64


def any_deep(files: Sequence[Path], channels: int) -> bool:
    """Whether there are images of more than 8 bits, of which a few of the files tell."""
    few = files[:: -(-len(files) // _FEW)] if len(files) else files
    with ThreadPoolExecutor() as threads:
        return any(threads.map(lambda file: _ends(file, channels), few))


def range_of_deep(files: Sequence[Path], channels: int) -> tuple[float, float] | None:
    """The least and the greatest value of images of more than 8 bits; None where there are none.

    Files that cannot be read are passed over.
    """
    with ThreadPoolExecutor() as threads:
        found = [*filter(None, threads.map(lambda file: _ends(file, channels), files))]
    low, high = min(found, default=(0.0,))[0], max((high for _, high in found), default=0.0)
    return (low, high) if low < high else None


def _ends(file: Path, channels: int) -> tuple[float, float] | None:
    """The least and the greatest value of an image of more than 8 bits that can be read."""
    try:
        pixels = array_of(file, channels)
        if pixels is None:
            with open_image(file) as image:
                pixels = np.asarray(image) if is_deep(image) else None
    except UnreadableImage:
        return None
    if pixels is None or pixels.dtype == np.uint8:
        return None
    found = pixels[np.isfinite(pixels)]
    return (float(found.min()), float(found.max())) if found.size else None
