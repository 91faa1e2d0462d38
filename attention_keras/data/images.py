"""Image files of any kind to RGB pixels at the network's size, or a reason why not.

This is the one path of an image: training, masks, evaluation, queries and prediction read files by it.
`resize_in_graph.py` is its twin in an exported model, which agrees within one grey level.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError, features

from attention_keras.data.geometry import PictureFormat, Resize, crop_box, padded_box

EXTENSIONS = frozenset(
    [".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"]
    + [".avif"] * bool(features.check("avif"))
)
MEGAPIXELS = 100
"""Millions of pixels above which an image is refused before it is decoded."""


class UnreadableImage(Exception):
    """The file is not an image that can be used; the message says why."""


def read_image(path: Path, to: PictureFormat) -> np.ndarray:
    """One image as `(h, w, 3)` uint8; raises UnreadableImage."""
    with open_image(path) as image:
        # Not `draft`, which decodes large JPEGs sooner and to other pixels than an exported model does.
        return fit(upright_rgb(image), to.size, to.resize)


def read_mask(path: Path, to: PictureFormat) -> np.ndarray:
    """One mask, white on the object, as `(h, w)` bool; raises UnreadableImage."""
    return read_image(path, to).mean(axis=-1) > 127


def check_image(path: Path) -> None:
    """Decode all of an image and keep nothing of it; raises UnreadableImage where `read_image` does.

    A header says nothing of what is cut off behind it, and `Image.verify` looks no further in a JPEG. A
    JPEG's pixels are made at an eighth of the size, which takes half the time or less and fails where
    decoding in full does.
    """
    with open_image(path) as image:
        image.draft(None, (1, 1))
        upright_rgb(image)


@contextmanager
def open_image(path: Path) -> Iterator[Image.Image]:
    """A file whose pixels are still to be decoded; whatever goes wrong meanwhile is UnreadableImage."""
    if not can_be_opened(path):
        raise UnreadableImage("not a regular file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path)
        with image:
            if image.width * image.height > MEGAPIXELS * 1e6:
                raise UnreadableImage(
                    f"{image.width}x{image.height} is over {MEGAPIXELS} megapixels; shrink it, such as with "
                    "Image.thumbnail of Pillow"
                )
            yield image
    except UnidentifiedImageError:
        raise UnreadableImage("not an image") from None
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UnreadableImage(reason or type(error).__name__) from None


def can_be_opened(path: Path) -> bool:
    """Whether opening it gives content or says why not: a folder has none, and a FIFO waits for some."""
    return os.path.isfile(path) or not os.path.exists(path)


def upright_rgb(image: Image.Image) -> Image.Image:
    """Turned as the camera says, in place, and in three channels of 8 bits.

    Grey is repeated, alpha dropped (as the exported model does), CMYK and palettes are converted, 16 bits cut
    to the upper 8. Of an animation it is the first frame.
    """
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I"):
        return Image.fromarray((np.clip(np.asarray(image), 0, 65535) >> 8).astype("uint8")).convert("RGB")
    if image.mode == "F":
        raise UnreadableImage("floating-point pixels have no agreed range")
    # It is dropped anyway, and Pillow warns of every palette with it.
    image.info.pop("transparency", None)
    return image if image.mode == "RGB" else image.convert("RGB")


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
