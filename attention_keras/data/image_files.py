"""Image files of any kind to RGB pixels, or a reason why not."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from attention_keras.data.geometry import MEGAPIXELS, PictureFormat, Resize, crop_box, padded_box

EXTENSIONS = frozenset(
    [".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"]
)
GROUND_TRUTH = "GroundTruth"
"""Folder beside the images with their masks: files of the same names, whatever the ending."""
_ROWS_OF_A_STRIP = 8
"""Of the result. With more, fewer rows of the picture are read twice; with fewer, a strip fits the cache."""


class UnreadableImage(Exception):
    """The file is not an image that can be used; the message says why."""


def read_image(path: Path, to: PictureFormat) -> np.ndarray:
    """Read, convert and resize one image.

    Grey is repeated, alpha dropped (as the exported model does), CMYK and palettes converted, 16 bits cut
    to the upper 8, a camera's orientation applied, the first frame of an animation taken.

    Args:
        path: of the file.
        to: size `(h, w)` of the result, and how it is reached: to the pixels of an exported model.

    Returns:
        `(h, w, 3)` uint8.

    Raises:
        UnreadableImage: broken, of an unknown kind, or declared larger than `to.megapixels`.
    """
    with open_image(path, to.megapixels) as image:
        # Not `draft`, which decodes large JPEGs sooner and to other pixels than an exported model does.
        return fit(upright_rgb(image), to.size, to.resize)


def check_image(path: Path, megapixels: int = MEGAPIXELS) -> None:
    """Read all of an image and keep nothing of it.

    The whole file is decoded, because a header says nothing of what is cut off behind it, and `Image.verify`
    looks no further in a JPEG. A JPEG's pixels are made at an eighth of the size, which takes half the time
    or less and fails where decoding in full does.

    Raises:
        UnreadableImage: where `read_image` does.
    """
    with open_image(path, megapixels) as image:
        image.draft(None, (1, 1))
        upright_rgb(image)


@contextmanager
def open_image(path: Path, megapixels: int = MEGAPIXELS) -> Iterator[Image.Image]:
    """A file whose pixels are still to be decoded; what goes wrong with it meanwhile is told in one way.

    Raises:
        UnreadableImage: as `read_image`.
    """
    if not can_be_opened(path):
        raise UnreadableImage("not a regular file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path)
        with image:
            if image.width * image.height > megapixels * 1e6:
                raise UnreadableImage(f"{image.width}x{image.height} is over {megapixels} megapixels")
            yield image
    except UnidentifiedImageError:
        raise UnreadableImage("not an image") from None
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UnreadableImage(reason or type(error).__name__) from None


def can_be_opened(path: Path) -> bool:
    """Whether opening it gives content or says why not: a folder has none, and a FIFO waits for some."""
    return os.path.isfile(path) or not os.path.exists(path)


def fit(image: Image.Image, size: tuple[int, int], resize: Resize) -> np.ndarray:
    """Pixels of a picture at `size` (h, w), uint8 `(h, w)` or `(h, w, c)`."""
    top, left, height, width = 0, 0, *size
    box = (0, 0, image.width, image.height)
    if resize == "crop":
        y, x, inner_height, inner_width = crop_box(image.height, image.width, size)
        box = (x, y, x + inner_width, y + inner_height)
    elif resize == "pad":
        top, left, height, width = padded_box(image.height, image.width, size)
    pixels = _resample(image, box, (height, width))
    if (height, width) == tuple(size):
        return pixels
    whole = np.zeros((*size, *pixels.shape[2:]), "uint8")
    whole[top : top + height, left : left + width] = pixels
    return whole


def _resample(image: Image.Image, box: tuple[int, int, int, int], size: tuple[int, int]) -> np.ndarray:
    """Pixels of a part of a picture at another size, bilinear with antialiasing.

    Each channel by itself and in floating point: on uint8, Pillow rounds twice, and one pixel in six differs
    from what an exported model sees by a level of grey; so, one in a thousand, or a few in a hundred where
    halves are frequent.

    Args:
        image: of one or three channels.
        box: `(left, top, right, bottom)` in it.
        size: `(h, w)` of the result.
    """
    height, width = size
    if box[3] - box[1] > 2 * height:
        pixels = _fewer_rows(image, box, height)
    else:
        pixels = np.asarray(image.crop(box))
        if pixels.shape[:2] == tuple(size):
            return pixels
    resized = np.empty((height, width, *pixels.shape[2:]), "uint8")
    for place in np.ndindex(pixels.shape[2:]):
        channel = Image.fromarray(pixels[(..., *place)].astype("float32"))
        channel = np.asarray(channel.resize((width, height), Image.Resampling.BILINEAR))
        resized[(..., *place)] = channel.clip(0, 255).round()
    return resized


def _fewer_rows(image: Image.Image, box: tuple[int, int, int, int], height: int) -> np.ndarray:
    """A part of a picture with fewer rows: `(height, w)` or `(height, w, c)` float32.

    The triangle filter of Pillow, which itself begins with the columns and wants each channel as numbers of
    32 bits, all at full size. This begins with the rows, takes the picture strip by strip, and needs a third
    of the time for a photograph. It keeps to one core, as each decoder does.
    """
    left, top, right, bottom = box
    scale = (bottom - top) / height
    centres = (np.arange(height) + 0.5) * scale
    firsts = np.maximum(np.rint(centres - scale).astype(int), 0)
    lasts = np.minimum(np.rint(centres + scale).astype(int), bottom - top)
    fewer = []
    for start in range(0, height, _ROWS_OF_A_STRIP):
        rows = range(start, min(start + _ROWS_OF_A_STRIP, height))
        above = firsts[rows[0]]
        strip = np.asarray(image.crop((left, top + above, right, top + lasts[rows[-1]])))
        for row in rows:
            weights = 1 - np.abs(np.arange(firsts[row], lasts[row]) + 0.5 - centres[row]) / scale
            weights = (weights / weights.sum()).astype("float32")
            part = strip[firsts[row] - above : lasts[row] - above]
            fewer.append(np.einsum("r,r...->...", weights, part, dtype="float32"))
    return np.stack(fewer)


def mask_files(folder: Path) -> dict[str, Path]:
    """The mask of each image in `folder` that has one, by the image's name without ending."""
    truth = folder / GROUND_TRUTH
    files = sorted(truth.iterdir()) if truth.is_dir() else []
    return {file.stem: file for file in files if file.suffix.lower() in EXTENSIONS}


def read_mask(path: Path, to: PictureFormat) -> np.ndarray:
    """Read one mask, white on the object.

    Args:
        path: of the file.
        to: what its image is brought to.

    Returns:
        `(h, w)` bool, true on the object.

    Raises:
        UnreadableImage: as `read_image`.
    """
    return read_image(path, to).mean(axis=-1) > 127


def upright_rgb(image: Image.Image) -> Image.Image:
    """Turned as the camera says, in place, and in three channels of 8 bits, as `read_image` says.

    Raises:
        UnreadableImage: floating-point pixels.
    """
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I"):
        return Image.fromarray((np.clip(np.asarray(image), 0, 65535) >> 8).astype("uint8")).convert("RGB")
    if image.mode == "F":
        raise UnreadableImage("floating-point pixels have no agreed range")
    # It is dropped anyway, and Pillow warns of every palette with it.
    image.info.pop("transparency", None)
    return image if image.mode == "RGB" else image.convert("RGB")
