"""Image files of any kind: opened by Pillow, as arrays where that would lose something, or in bands.

Pillow cuts some files to 8 bits or to three channels, or does not read them: `.npy`, TIFF of many channels or
pages, of deep colours or of unusual numbers, and PNG of 16 bits in colour. Their first bytes say so.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, TiffImagePlugin, UnidentifiedImageError, features

try:
    from tifffile import TiffFile  # scikit-image brings it
except ModuleNotFoundError:
    TiffFile = None

EXTENSIONS = frozenset(
    [".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".npy", ".pgm", ".png", ".ppm", ".tif", ".tiff"]
    + [".webp", *[".avif"] * bool(features.check("avif"))]
)
MEGAPIXELS, LARGEST = 100, 500
"""Millions of pixels above which an image is refused before it is decoded, whole or to be read in bands."""
_PILLOW_READS = ("uint8", "uint16", "int16", "int32", "float32", "bool")
"""Grey of these types in TIFF; of colours 8 bits alone."""
_COLOURED = {b"\2": 3, b"\4": 1, b"\6": 3}
"""Of the kinds of PNG that Pillow cuts to 8 bits the channels without alpha."""
_TURNED = (5, 6, 7, 8)  # EXIF's orientations whose height is the width of the file


class UnreadableImage(Exception):
    """The file is not an image that can be used; the message says why."""


def can_be_opened(path: Path) -> bool:
    """Whether opening it gives content or says why not: a folder has none, and a FIFO waits for some."""
    return os.path.isfile(path) or not os.path.exists(path)


@contextmanager
def _reasons(path: Path) -> Iterator[None]:
    """What goes wrong inside becomes UnreadableImage."""
    if not can_be_opened(path):
        raise UnreadableImage("not a regular file")
    try:
        yield
    except UnidentifiedImageError:
        raise UnreadableImage("not an image") from None
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UnreadableImage(reason or type(error).__name__) from None


def _check_size(height: int, width: int, megapixels: int | None = MEGAPIXELS) -> None:
    if megapixels is not None and height * width > megapixels * 1e6:
        advice = "shrink it, such as with Image.thumbnail of Pillow"
        raise UnreadableImage(f"{width}x{height} is over {megapixels} megapixels; {advice}")


@contextmanager
def open_image(path: Path, megapixels: int | None = MEGAPIXELS) -> Iterator[Image.Image]:
    """A file whose pixels are still to be decoded; whatever goes wrong meanwhile is UnreadableImage."""
    usual = Image.MAX_IMAGE_PIXELS
    with _reasons(path):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            if megapixels != MEGAPIXELS:  # Pillow itself refuses headers of 179 megapixels
                Image.MAX_IMAGE_PIXELS = None
            try:
                image = Image.open(path)
            finally:
                Image.MAX_IMAGE_PIXELS = usual
        with image:
            _check_size(image.height, image.width, megapixels)
            yield image


@contextmanager
def open_any(path: Path, channels: int) -> Iterator[Image.Image | np.ndarray]:
    """As `open_image`; where that shows less than is there for a model of `channels`, the upright array."""
    with _reasons(path):
        array, turn = _read_array(path, channels), 1
    try:
        with open_image(path) as image:
            if array is None and channels in (1, 3) and not _is_deep(image):
                yield image
                return
            array = np.asarray(image) if array is None else array
            turn = image.getexif().get(ExifTags.Base.Orientation, 1)
    except UnreadableImage:
        if array is None:
            raise
    array = np.atleast_3d(array)
    # As EXIF numbers them: transposed, then mirrored left and right, then up and down.
    array = array.swapaxes(0, 1) if turn in _TURNED else array
    array = array[:, ::-1] if turn in (2, 3, 6, 7) else array
    yield array[::-1] if turn in (3, 4, 7, 8) else array


def _read_array(path: Path, channels: int) -> np.ndarray | None:
    """None where Pillow reads all that a model of `channels` sees; alpha is for models of 4 channels."""
    with open(path, "rb") as stream:
        head = stream.read(26)
    array: np.ndarray | None = None
    if head.startswith(b"\x93NUMPY"):
        array = np.lib.format.open_memmap(path, mode="r")  # which reads no pickled objects
    elif head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")) and TiffFile:
        array = _of_tiff(path, channels)
    elif head.startswith(b"\x89PNG") and head[24:25] == b"\x10" and head[25:] in _COLOURED:
        array = _of_png(path, head, channels)
    if array is None:
        return None
    if array.ndim not in (2, 3) or array.dtype.kind not in "uif" or not array.size:
        raise ValueError(f"an array {array.shape} of {array.dtype} is no image; it must be numbers (h, w, c)")
    _check_size(*array.shape[:2])
    return np.array(array)


def _of_png(path: Path, head: bytes, channels: int) -> np.ndarray:
    """As the served model decodes it; Pillow gives the upper 8 bits."""
    import tensorflow as tf

    _check_size(int.from_bytes(head[20:24]), int.from_bytes(head[16:20]))
    wanted = 4 if channels == 4 and head[25] == 6 else _COLOURED[head[25:]]
    try:
        return tf.io.decode_png(path.read_bytes(), wanted, tf.uint16).numpy()
    except tf.errors.InvalidArgumentError:
        raise ValueError("PNG that is cut off or damaged") from None


def _of_tiff(path: Path, channels: int) -> np.ndarray | None:
    """The first page, or where a model takes other than one or three channels, the pages as channels."""
    with _first_page(path) as (file, page):
        usual, grey = channels in (1, 3), page.samplesperpixel == 1
        if usual and str(page.dtype) in (_PILLOW_READS if grey else ("None", "uint8")):
            return None
        found = page if usual else file.series[0]
        sides = dict(zip(found.axes, found.shape))
        _check_size(sides["Y"], sides["X"])
        axes = [axis for axis, length in sides.items() if length > 1 or axis in "YX"]
        array = found.asarray().reshape([sides[axis] for axis in axes])
        array = array.transpose([axes.index(axis) for axis in ("Y", "X", *({*axes} - {"Y", "X"}))])
        return array[..., :3] if usual and page.photometric == 2 else array


@contextmanager
def _first_page(path: Path):
    """A TIFF and its first page; of a damaged one tifffile raises errors of any kind."""
    try:
        with TiffFile(path) as file:
            yield file, file.pages[0]
    except UnreadableImage:
        raise
    except Exception as error:
        raise ValueError(f"a TIFF that cannot be read: {error}") from None


def upright_size(path: Path, megapixels: int | None = MEGAPIXELS) -> tuple[int, int]:
    """Height and width of an image as the camera turned it, from its header; raises UnreadableImage."""
    try:
        with open_image(path, megapixels) as image:
            return size_of(image)
    except UnreadableImage:
        with open_any(path, 3) as array:
            return array.shape[:2]


def size_of(image: Image.Image) -> tuple[int, int]:
    """Height and width of an opened image when it is upright."""
    turned = image.getexif().get(ExifTags.Base.Orientation, 1) in _TURNED
    turned &= image.format != "TIFF"  # whose size Pillow turns itself
    return image.size if turned else image.size[::-1]


def upright_rgb(image: Image.Image) -> Image.Image:
    """Turned as the camera says, in place, and in three channels of 8 bits; alpha is dropped."""
    ImageOps.exif_transpose(image, in_place=True)
    if _is_deep(image):
        image = Image.fromarray(levels(np.asarray(image), None))
    # It is dropped anyway, and Pillow warns of every palette with it.
    image.info.pop("transparency", None)
    return image if image.mode == "RGB" else image.convert("RGB")


def _is_deep(image: Image.Image) -> bool:
    """Whether Pillow reads more than 8 bits of it."""
    return image.mode.startswith("I") or image.mode == "F"


def levels(array: np.ndarray, values: tuple[float, float] | None) -> np.ndarray:
    """Numbers of more than 8 bits as uint8: `values` become 0 and 255, without them 0 and 65535 do."""
    if array.dtype == np.uint8:
        return array
    if values:
        low, high = values
        scaled = (array.astype("float32") - low) * np.float32(255 / (high - low))
        return np.rint(np.clip(np.nan_to_num(scaled), 0, 255)).astype("uint8")
    if array.dtype.kind == "f":
        raise UnreadableImage("floating-point pixels have no agreed range")
    return (np.clip(array, 0, 65535) >> 8).astype("uint8")


def read_bands(path: Path, height: int) -> Iterator[np.ndarray]:
    """An image at its own resolution in bands `(about height, W, 3)` uint8; raises UnreadableImage.

    A TIFF that is not compressed, or by deflate, is read piece by piece. Others Pillow decodes as a whole, at
    three bytes a pixel.
    """
    with open_image(path, None) as image:
        if _by_pieces(image):
            yield from _bands_of_pieces(path, height)
            return
        _check_size(image.height, image.width, LARGEST)
        ImageOps.exif_transpose(image, in_place=True)
        for top in range(0, image.height, height):
            band = image.crop((0, top, image.width, min(top + height, image.height)))
            yield np.asarray(upright_rgb(band))


def _by_pieces(image: Image.Image) -> bool:
    """Whether it is an upright TIFF of 8-bit colours or grey whose pieces Python's own zlib decodes."""
    if not (TiffFile and isinstance(image, TiffImagePlugin.TiffImageFile) and image.mode in ("RGB", "L")):
        return False
    colours = image.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION)
    planes = image.tag_v2.get(TiffImagePlugin.PLANAR_CONFIGURATION, 1)
    turn = image.getexif().get(ExifTags.Base.Orientation, 1)
    plain = image.info.get("compression") in ("raw", "tiff_adobe_deflate", "tiff_deflate")
    return plain and turn == planes == 1 and colours in (1, 2)


def _bands_of_pieces(path: Path, height: int) -> Iterator[np.ndarray]:
    """Whole rows of tiles, or strips, of a TIFF, as many at once as `height` holds."""
    with _first_page(path) as (_, page):
        tall, wide, *_ = page.chunks
        across = -(-page.imagewidth // wide)
        segments = page.segments(maxworkers=1)
        while some := list(islice(segments, across * max(1, height // tall))):
            pieces = []
            for data, (_, _, top, left, _), _ in some:
                if data is None:  # a tile of which a file without it says that it is empty
                    data = np.zeros((1, tall, wide, page.samplesperpixel), "uint8")
                pieces.append(data[0, : page.imagelength - top, : page.imagewidth - left])
            rows = [np.concatenate(pieces[n : n + across], axis=1) for n in range(0, len(pieces), across)]
            yield np.broadcast_to(np.concatenate(rows), (sum(map(len, rows)), page.imagewidth, 3))
