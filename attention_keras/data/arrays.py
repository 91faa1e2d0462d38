"""Image files that Pillow does not read, or cuts to 8 bits or to three channels, as arrays of their values.

These are `.npy`, TIFF of many channels or pages, of deep colours or of unusual numbers, and PNG of 16 bits in
colour. Which file is one, its first bytes say.
"""

from pathlib import Path

import numpy as np

PILLOW_READS = ("uint8", "uint16", "int16", "int32", "float32", "bool")
"""Grey of these types in TIFF; of colours 8 bits alone."""
_COLOURED = {b"\2": 3, b"\4": 1, b"\6": 3}
"""Of the kinds of PNG that Pillow cuts to 8 bits the channels without alpha."""
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read_array(path: Path, channels: int, most: float) -> np.ndarray | None:
    """Values `(h, w, c)` as in the file; None where Pillow reads all that a model of `channels` sees.

    Of colours with alpha it is the colours, unless `channels` is 4. More than `most` pixels are refused
    before they are read. Raises ValueError, OSError.
    """
    with open(path, "rb") as stream:
        head = stream.read(26)
    array: np.ndarray | None = None
    if head.startswith(b"\x93NUMPY"):
        array = np.lib.format.open_memmap(path, mode="r")  # which reads no pickled objects
    elif head.startswith(_TIFF):
        array = _of_tiff(path, channels, most)
    elif head.startswith(b"\x89PNG") and head[24:25] == b"\x10" and head[25:] in _COLOURED:
        array = _of_png(path, head, channels, most)
    if array is None:
        return None
    array = array[..., None] if array.ndim == 2 else array
    if array.ndim != 3 or array.dtype.kind not in "uif" or not array.size:
        raise ValueError(f"an array {array.shape} of {array.dtype} is no image; it must be numbers (h, w, c)")
    _check_pixels(array.shape, most)
    return np.array(array)


def _check_pixels(shape: tuple[int, ...], most: float) -> None:
    if shape[0] * shape[1] > most:
        raise ValueError(f"{shape[1]}x{shape[0]} is over {most / 1e6:g} megapixels")


def _of_png(path: Path, head: bytes, channels: int, most: float) -> np.ndarray:
    """As the served model decodes it; Pillow gives the upper 8 bits."""
    import tensorflow as tf

    _check_pixels((int.from_bytes(head[20:24]), int.from_bytes(head[16:20])), most)
    wanted = 4 if channels == 4 and head[25] == 6 else _COLOURED[head[25:]]
    try:
        return tf.io.decode_png(path.read_bytes(), wanted, tf.uint16).numpy()
    except tf.errors.InvalidArgumentError:
        raise ValueError("PNG that is cut off or damaged") from None


def _of_tiff(path: Path, channels: int, most: float) -> np.ndarray | None:
    """The first page, or where a model takes other than one or three channels, the pages as channels."""
    try:
        from tifffile import TiffFile, TiffFileError  # scikit-image brings it
    except ModuleNotFoundError:
        return None
    try:
        with TiffFile(path) as file:
            page = file.pages[0]
            grey, kind = page.samplesperpixel == 1, str(page.dtype)
            if channels in (1, 3) and kind in (PILLOW_READS if grey else ("None", "uint8")):
                return None
            found = page if channels in (1, 3) else file.series[0]
            sides = dict(zip(found.axes, found.shape))
            axes = "".join(axis for axis, length in sides.items() if length > 1 or axis in "YX")
            _check_pixels((sides["Y"], sides["X"]), most)
            array = found.asarray().reshape([sides[axis] for axis in axes])
    except (TiffFileError, KeyError, IndexError) as error:
        raise ValueError(f"a TIFF that cannot be read: {error}") from None
    if len(axes) == 3:
        (other,) = set(axes) - {"Y", "X"}
        array = np.moveaxis(array, axes.index(other), -1)
    return array[..., :3] if channels in (1, 3) and page.photometric == 2 else array
