"""Image files of any kind to RGB pixels at the network's size, or a reason why not.

This is the one path of an image: training, masks, evaluation, queries and prediction read files by it.
`geometry.to_size` is its twin in an exported model, which agrees within one grey level.

A random-resized crop takes a part of the file at its own resolution and resizes it once. For `crop` it is a
part of all of the image, whose middle evaluation takes; for `stretch` too, with its shape changed; for `pad`
of the image with the black at its sides.
"""

import math
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError, features
from PIL.JpegImagePlugin import JpegImageFile

from attention_keras.data.arrays import read_array
from attention_keras.data.geometry import PictureFormat, Resize, crop_box, padded_box
from attention_keras.errors import UserError

EXTENSIONS = frozenset(
    [".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".npy", ".pgm", ".png", ".ppm", ".tif", ".tiff"]
    + [".webp", *[".avif"] * bool(features.check("avif"))]
)
MEGAPIXELS = 100
"""Millions of pixels above which an image is refused before it is decoded."""
SCALE = (0.35, 1.0)
"""Share of the area. Training from scratch on a million images goes down to 0.08; fine-tuning on a few
hundred has no use for parts in which the object is mostly cut off."""
RATIO = (3 / 4, 4 / 3)
"""Width over height of a part that becomes a square."""
_GAP = 1.25
"""A part is first brought to this many times the size of the result, or more, in the cheapest way: a JPEG is
decoded at an n-th of its size, pixels are averaged. Then it is resized with antialiasing. A pixel of a
photograph of 1600x1200 differs by 0.4 levels of grey from resizing alone, less than what JPEG costs, and the
part takes half the time."""


class UnreadableImage(Exception):
    """The file is not an image that can be used; the message says why."""


def read_image(path: Path, to: PictureFormat) -> np.ndarray:
    """One image as `(h, w, c)` uint8; raises UnreadableImage."""
    # Not `draft`, which decodes large JPEGs sooner and to other pixels than an exported model does.
    return _made(path, to, lambda image: fit(upright_rgb(image, to.values), to.size, to.resize))


def read_part(path: Path, draws: Sequence[float], to: PictureFormat) -> np.ndarray:
    """A random-resized crop of one image, `(h, w, c)` uint8; raises UnreadableImage."""
    return _made(path, to, lambda image: resized_crop(image, draws, to.size, to.resize, to.values))


def _made(path: Path, to: PictureFormat, make: Callable[[Image.Image], np.ndarray]) -> np.ndarray:
    """What `make` gives of the file, in the channels of the model; grey is made of colours and repeated."""
    layers = _layers(path, to)
    if layers is None:
        with open_image(path) as image:
            pixels = make(image)
    else:
        pixels = np.concatenate([make(layer)[..., : len(layer.getbands())] for layer in layers], axis=-1)
    if pixels.shape[-1] == to.channels:
        return pixels
    if to.channels == 3:
        return pixels.repeat(3, axis=-1)
    return np.asarray(Image.fromarray(pixels).convert("L"))[..., None]


def _layers(path: Path, to: PictureFormat) -> list[Image.Image] | None:
    """Images of 8 bits, of one or three channels each, of a file that is read as an array; else None."""
    array = array_of(path, to.channels)
    if array is None and to.channels in (1, 3):
        return None
    turn = None
    if not (path.suffix.lower() == ".npy" and array is not None):
        try:
            with open_image(path) as image:
                turn = image.getexif().get(ExifTags.Base.Orientation)
                array = np.atleast_3d(image) if array is None else array
        except UnreadableImage:
            if array is None:
                raise
    if (count := array.shape[-1]) != to.channels and {count, to.channels} != {1, 3}:
        raise UnreadableImage(f"{count} channels, and the model takes {to.channels}")
    levels = array if array.dtype == np.uint8 else _levels(array, to.values)
    parts = [levels] if count == 3 else [levels[..., channel] for channel in range(count)]
    layers = [Image.fromarray(np.ascontiguousarray(part)) for part in parts]
    for layer in layers:
        layer.getexif().update({ExifTags.Base.Orientation: turn} if turn else {})
    return layers


def array_of(path: Path, channels: int) -> np.ndarray | None:
    """What `read_array` gives; raises UnreadableImage."""
    with _reasons(path):
        return read_array(path, channels, MEGAPIXELS * 1e6)


def model_channels(channels: int | None) -> int:
    """The channels of a model's images; refused where it does not say."""
    if channels is None:
        raise UserError("the model takes images of any number of channels; give its input one")
    return channels


def read_mask(path: Path, to: PictureFormat) -> np.ndarray:
    """One mask, white on the object, as `(h, w)` bool; raises UnreadableImage."""
    return read_image(path, replace(to, values=None)).mean(axis=-1) > 127


def check_image(path: Path, to: PictureFormat | None = None) -> None:
    """Decode all of an image and keep nothing of it; raises UnreadableImage where `read_image` does.

    A header says nothing of what is cut off behind it, and `Image.verify` looks no further in a JPEG. A
    JPEG's pixels are made at an eighth of the size, which takes half the time or less and fails where
    decoding in full does.
    """
    if to and _layers(path, to) is not None:
        return
    with open_image(path) as image:
        image.draft(None, (1, 1))
        upright_rgb(image, to and to.values)


def is_deep(image: Image.Image) -> bool:
    """Whether Pillow reads more than 8 bits of it."""
    return image.mode.startswith("I") or image.mode == "F"


@contextmanager
def open_image(path: Path, megapixels: int | None = MEGAPIXELS) -> Iterator[Image.Image]:
    """A file whose pixels are still to be decoded; whatever goes wrong meanwhile is UnreadableImage.

    So is an image of more than so many `megapixels`; None opens any.
    """
    with _reasons(path):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = _opened(path, megapixels)
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


def _opened(path: Path, megapixels: int | None) -> Image.Image:
    """Opened by Pillow, which refuses headers of 179 megapixels unless it is told otherwise."""
    if megapixels == MEGAPIXELS:
        return Image.open(path)
    usual, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        return Image.open(path)
    finally:
        Image.MAX_IMAGE_PIXELS = usual


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


def upright_rgb(image: Image.Image, values: tuple[float, float] | None = None) -> Image.Image:
    """Turned as the camera says, in place, and in three channels of 8 bits.

    Grey is repeated, alpha dropped (as the exported model does), CMYK and palettes are converted. Of more
    than 8 bits `values` become 0 and 255; without them 16 bits are cut to the upper 8. Of an animation it is
    the first frame.
    """
    ImageOps.exif_transpose(image, in_place=True)
    if is_deep(image):
        return Image.fromarray(_levels(np.asarray(image), values)).convert("RGB")
    # It is dropped anyway, and Pillow warns of every palette with it.
    image.info.pop("transparency", None)
    return image if image.mode == "RGB" else image.convert("RGB")


def _levels(array: np.ndarray, values: tuple[float, float] | None) -> np.ndarray:
    """Numbers of more than 8 bits as uint8."""
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


def random_box(draws: Sequence[float], aspect: float = 1.0) -> tuple[float, float, float, float]:
    """A part of an image, `(top, left, height, width)` in shares of its height and width.

    `draws` are four numbers in [0, 1), for area, ratio, top and left; `aspect` is the image's width over its
    height, by the same of the result. Area and logarithm of the ratio are uniform among those that fit into
    the image, as is the position, so that one draw is enough. An image so long that no part has both an area
    of `SCALE` and a ratio of `RATIO` gives the largest ones that have the ratio.
    """
    area_at, ratio_at, top_at, left_at = map(float, draws)
    most = min(SCALE[1], RATIO[1] / aspect, aspect / RATIO[0])
    least = min(SCALE[0], most)
    area = least + area_at * (most - least)
    lowest, highest = max(RATIO[0], area * aspect), min(RATIO[1], aspect / area)
    ratio = lowest * (highest / lowest) ** ratio_at
    height = min(1.0, math.sqrt(area * aspect / ratio))
    width = min(1.0, math.sqrt(area * ratio / aspect))
    return top_at * (1 - height), left_at * (1 - width), height, width


def resized_crop(
    image: Image.Image,
    draws: Sequence[float],
    size: tuple[int, int],
    resize: Resize,
    values: tuple[float, float] | None = None,
) -> np.ndarray:
    """Pixels `(h, w, 3)` uint8 of a random part of an image that is opened and not yet decoded."""
    if not isinstance(image, JpegImageFile):
        image = ImageOps.exif_transpose(image)
    height, width = _framed(*_upright_size(image), size, resize)
    aspect = width / height * size[0] / size[1] if resize == "crop" else 1.0
    top, left, tall, wide = random_box(draws, aspect)
    needed = _GAP * max(size[0] / (tall * height), size[1] / (wide * width))
    if needed < 1:
        image.draft(None, (math.ceil(image.width * needed), math.ceil(image.height * needed)))
    image = upright_rgb(image, values)
    if resize == "pad":
        image = _padded(image, size)
    lower, right = min(1.0, top + tall) * image.height, min(1.0, left + wide) * image.width
    box = (left * image.width, top * image.height, right, lower)
    return np.asarray(image.resize(size[::-1], Image.Resampling.BILINEAR, box, reducing_gap=_GAP))


def _upright_size(image: Image.Image) -> tuple[int, int]:
    """Height and width once the camera's orientation is applied."""
    turned = image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    turned &= image.format != "TIFF"  # whose size Pillow turns itself
    return image.size if turned else image.size[::-1]


def _framed(height: int, width: int, size: tuple[int, int], resize: Resize) -> tuple[int, int]:
    """Height and width of what parts are taken from: the image, or as much as black makes of it."""
    if resize != "pad":
        return height, width
    pixel = max(height / size[0], width / size[1])
    return round(pixel * size[0]), round(pixel * size[1])


def _padded(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The image with black at two sides, in the shape of `size`."""
    height, width = _framed(image.height, image.width, size, "pad")
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))
