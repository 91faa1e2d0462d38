"""Image files of any kind to RGB pixels at the network's size, or a reason why not.

This is the one path of an image: training, masks, evaluation, queries and prediction read files by it.
`geometry.to_size` is its twin in an exported model, which agrees within one grey level.
"""

import math
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError, features
from PIL.JpegImagePlugin import JpegImageFile

from attention_keras.data.arrays import read_array
from attention_keras.data.geometry import PictureFormat, Resize, crop_box, padded_box, random_box
from attention_keras.errors import UserError

EXTENSIONS = frozenset(
    [".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".npy", ".pgm", ".png", ".ppm", ".tif", ".tiff"]
    + [".webp", *[".avif"] * bool(features.check("avif"))]
)
MEGAPIXELS = 100
"""Millions of pixels above which an image is refused before it is decoded."""
_FEW = 64
_GAP = 1.25
"""A part is first brought to this many times the size of the result in the cheapest way, then resized: half
the time, for 0.4 levels of grey in a photograph of 1600x1200, less than what JPEG costs."""


class UnreadableImage(Exception):
    """The file is not an image that can be used; the message says why."""


def read_image(path: Path, to: PictureFormat) -> np.ndarray:
    """One image as `(h, w, c)` uint8; raises UnreadableImage."""
    # Not `draft`, which decodes large JPEGs sooner and to other pixels than an exported model does.
    return _made(path, to, lambda image: fit(upright_rgb(image), to.size, to.resize))


def read_part(path: Path, to: PictureFormat, draws: Sequence[float]) -> np.ndarray:
    """A random-resized crop of one image, `(h, w, c)` uint8; raises UnreadableImage."""
    return _made(path, to, lambda image: resized_crop(image, draws, to))


def read_mask(path: Path, to: PictureFormat) -> np.ndarray:
    """One mask, white on the object, as `(h, w)` bool; raises UnreadableImage."""
    return read_image(path, replace(to, values=None, channels=3)).mean(axis=-1) > 127


def check_image(path: Path, to: PictureFormat) -> None:
    """Decode all of an image and keep nothing of it; raises UnreadableImage where `read_image` does."""
    _made(path, to, lambda image: np.asarray(decoded_small(image)))


def decoded_small(image: Image.Image) -> Image.Image:
    """All of it decoded, for no header says what is cut off; a JPEG at an eighth, in half the time."""
    image.draft(None, (1, 1))
    return upright_rgb(image)


def _made(path: Path, to: PictureFormat, make: Callable[[Image.Image], np.ndarray]) -> np.ndarray:
    """What `make` gives of the file, or of each of its channels where it is more than RGB of 8 bits."""

    def in_channels(pixels: np.ndarray) -> np.ndarray:
        if pixels.shape[-1] == to.channels:
            return pixels
        if to.channels == 3:
            return pixels.repeat(3, axis=-1)
        return np.asarray(Image.fromarray(pixels).convert("L"))[..., None]

    array, turn = array_of(path, to.channels), None
    try:
        with open_image(path) as image:
            if array is None and to.channels in (1, 3) and not is_deep(image):
                return in_channels(make(image))
            array = np.asarray(image) if array is None else array
            turn = image.getexif().get(ExifTags.Base.Orientation)
    except UnreadableImage:
        if array is None:
            raise
    array = np.atleast_3d(array)
    if (count := array.shape[-1]) != to.channels and {count, to.channels} != {1, 3}:
        raise UnreadableImage(f"{count} channels, and the model takes {to.channels}")
    array = array if array.dtype == np.uint8 else _levels(array, to.values)
    parts = [array] if count == 3 else [array[..., channel] for channel in range(count)]
    layers = [Image.fromarray(np.ascontiguousarray(part)) for part in parts]
    for layer in layers:
        layer.getexif().update({ExifTags.Base.Orientation: turn} if turn else {})
    pixels = [make(layer)[..., : len(layer.getbands())] for layer in layers]
    return in_channels(np.concatenate(pixels, axis=-1))


def array_of(path: Path, channels: int) -> np.ndarray | None:
    """What `read_array` gives; raises UnreadableImage."""
    with _reasons(path):
        return read_array(path, channels, MEGAPIXELS * 1e6)


def model_channels(channels: int | None) -> int:
    """The channels of a model's images; refused where it does not say."""
    if channels is None:
        raise UserError("the model takes images of any number of channels; give its input one")
    return channels


def is_deep(image: Image.Image) -> bool:
    """Whether Pillow reads more than 8 bits of it."""
    return image.mode.startswith("I") or image.mode == "F"


def range_of_deep(files: Sequence[Path], channels: int, few: bool = False) -> tuple[float, float] | None:
    """The least and the greatest value of images of more than 8 bits, or of a `few`; None without any."""

    def ends(file: Path) -> tuple[float, float] | None:
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

    with ThreadPoolExecutor() as threads:
        chosen = files[:: -(-len(files) // _FEW)] if few and len(files) else files
        found = [*filter(None, threads.map(ends, chosen))]
    low, high = min((low for low, _ in found), default=0), max((high for _, high in found), default=0)
    return (low, high) if low < high else None


@contextmanager
def open_image(path: Path, megapixels: int | None = MEGAPIXELS) -> Iterator[Image.Image]:
    """A file whose pixels are still to be decoded; whatever goes wrong meanwhile is UnreadableImage.

    So is an image of more than so many `megapixels`; None opens any.
    """
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
            if megapixels is not None and image.width * image.height > megapixels * 1e6:
                raise UnreadableImage(
                    f"{image.width}x{image.height} is over {megapixels} megapixels; shrink it, such as with "
                    "Image.thumbnail of Pillow"
                )
            yield image


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


def can_be_opened(path: Path) -> bool:
    """Whether opening it gives content or says why not: a folder has none, and a FIFO waits for some."""
    return os.path.isfile(path) or not os.path.exists(path)


def upright_size(path: Path, megapixels: int | None = MEGAPIXELS) -> tuple[int, int]:
    """Height and width of an image as the camera turned it, from its header; raises UnreadableImage."""
    try:
        with open_image(path, megapixels) as image:
            return _upright_size(image)
    except UnreadableImage:
        array = array_of(path, 3)
        if array is None:
            raise
        return array.shape[0], array.shape[1]


def _upright_size(image: Image.Image) -> tuple[int, int]:
    turned = image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    turned &= image.format != "TIFF"  # whose size Pillow turns itself
    return image.size if turned else image.size[::-1]


def upright_rgb(image: Image.Image) -> Image.Image:
    """Turned as the camera says, in place, and in three channels of 8 bits; alpha is dropped."""
    ImageOps.exif_transpose(image, in_place=True)
    if is_deep(image):
        image = Image.fromarray(_levels(np.asarray(image), None))
    # It is dropped anyway, and Pillow warns of every palette with it.
    image.info.pop("transparency", None)
    return image if image.mode == "RGB" else image.convert("RGB")


def _levels(array: np.ndarray, values: tuple[float, float] | None) -> np.ndarray:
    """Numbers of more than 8 bits as uint8: `values` become 0 and 255, without them 0 and 65535 do."""
    if values:
        low, high = values
        levels = (array.astype("float32") - low) * np.float32(255 / (high - low))
        return np.rint(np.clip(np.nan_to_num(levels), 0, 255)).astype("uint8")
    if array.dtype.kind == "f":
        raise UnreadableImage("floating-point pixels have no agreed range")
    return (np.clip(array, 0, 65535) >> 8).astype("uint8")


def fit(image: Image.Image, size: tuple[int, int], resize: Resize) -> np.ndarray:
    """Pixels `(h, w, 3)` of an RGB image at `size` (h, w), as `PictureFormat` says."""
    inner = size
    if resize == "crop":
        top, left, height, width = crop_box(image.height, image.width, size)
        image = image.crop((left, top, left + width, top + height))
    elif resize == "pad":
        top, left, *inner = padded_box(image.height, image.width, size)
    image = image.resize(tuple(inner)[::-1], Image.Resampling.BILINEAR)
    if resize == "pad":
        image = image.crop((-left, -top, size[1] - left, size[0] - top))
    return np.asarray(image)


def resized_crop(image: Image.Image, draws: Sequence[float], to: PictureFormat) -> np.ndarray:
    """Pixels `(h, w, 3)` uint8 of a random part of an image (for `pad` with its black) not yet decoded."""
    size, resize = to.size, to.resize

    def framed(height: int, width: int) -> tuple[int, int]:
        """What parts are taken from."""
        if resize != "pad":
            return height, width
        pixel = max(height / size[0], width / size[1])
        return round(pixel * size[0]), round(pixel * size[1])

    if not isinstance(image, JpegImageFile):
        image = ImageOps.exif_transpose(image)
    height, width = framed(*_upright_size(image))
    aspect = width / height * size[0] / size[1] if resize == "crop" else 1.0
    top, left, tall, wide = random_box(draws, aspect)
    needed = _GAP * max(size[0] / (tall * height), size[1] / (wide * width))
    if needed < 1:
        image.draft(None, (math.ceil(image.width * needed), math.ceil(image.height * needed)))
    image = upright_rgb(image)
    if resize == "pad":
        height, width = framed(image.height, image.width)
        x, y = (image.width - width) // 2, (image.height - height) // 2
        image = image.crop((x, y, x + width, y + height))
    lower, right = min(1.0, top + tall) * image.height, min(1.0, left + wide) * image.width
    box = (left * image.width, top * image.height, right, lower)
    return np.asarray(image.resize(size[::-1], Image.Resampling.BILINEAR, box, reducing_gap=_GAP))
