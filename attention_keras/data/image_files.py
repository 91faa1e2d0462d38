"""Image files of any kind to RGB pixels, or a reason why not."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from attention_keras.data.geometry import MEGAPIXELS, Resize, crop_box, padded_box

EXTENSIONS = frozenset(
    [".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"]
)
GROUND_TRUTH = "GroundTruth"
"""Folder beside the images with their masks: files of the same names, whatever the ending."""


class UnreadableImage(Exception):
    """The file is not an image that can be used; the message says why."""


def read_image(
    path: Path, size: tuple[int, int], resize: Resize = "stretch", megapixels: int = MEGAPIXELS
) -> np.ndarray:
    """Read, convert and resize one image.

    Grey is repeated, alpha dropped (as the exported model does), CMYK and palettes converted, 16 bits cut
    to the upper 8, a camera's orientation applied, the first frame of an animation taken.

    Args:
        path: of the file.
        size: `(h, w)` of the result.
        resize: `crop` takes the middle, `stretch` does not keep the aspect ratio, `pad` keeps all of it with
            black at the sides. With antialiasing, as in the exported model.
        megapixels: millions of pixels above which it is refused.

    Returns:
        `(h, w, 3)` uint8.

    Raises:
        UnreadableImage: broken, of an unknown kind, or declared larger than `megapixels`.
    """
    with open_image(path, megapixels) as image:
        # Not `draft`, which decodes large JPEGs sooner and to other pixels than an exported model does.
        ImageOps.exif_transpose(image, in_place=True)
        return fit(to_rgb(image), size, resize)


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
        ImageOps.exif_transpose(image, in_place=True)
        to_rgb(image)


@contextmanager
def open_image(path: Path, megapixels: int = MEGAPIXELS) -> Iterator[Image.Image]:
    """A file whose pixels are still to be decoded; what goes wrong with it meanwhile is told in one way.

    Raises:
        UnreadableImage: as `read_image`.
    """
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


def fit(image: Image.Image, size: tuple[int, int], resize: Resize) -> np.ndarray:
    """Pixels of a picture at `size` (h, w), uint8 `(h, w)` or `(h, w, c)`."""
    top, left, height, width = 0, 0, *size
    pixels = np.asarray(image)
    if resize == "crop":
        y, x, inner_height, inner_width = crop_box(image.height, image.width, size)
        pixels = pixels[y : y + inner_height, x : x + inner_width]
    elif resize == "pad":
        top, left, height, width = padded_box(image.height, image.width, size)
    pixels = _resample(pixels, (height, width))
    if (height, width) == tuple(size):
        return pixels
    whole = np.zeros((*size, *pixels.shape[2:]), "uint8")
    whole[top : top + height, left : left + width] = pixels
    return whole


def _resample(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Pixels `(h, w)` or `(h, w, c)` at another size, bilinear with antialiasing.

    Each channel by itself and in floating point: on uint8, Pillow rounds twice, and one pixel in six differs
    from what an exported model sees by a level of grey; so, one in a thousand, or a few in a hundred where
    halves are frequent.
    """
    if pixels.shape[:2] == tuple(size):
        return pixels
    height, width = size
    if len(pixels) > 2 * height:
        pixels = _fewer_rows(pixels, height)
    resized = np.empty((height, width, *pixels.shape[2:]), "uint8")
    for place in np.ndindex(pixels.shape[2:]):
        channel = Image.fromarray(pixels[(..., *place)].astype("float32"))
        channel = np.asarray(channel.resize((width, height), Image.Resampling.BILINEAR))
        resized[(..., *place)] = channel.clip(0, 255).round()
    return resized


def _fewer_rows(pixels: np.ndarray, height: int) -> np.ndarray:
    """`(height, w)` or `(height, w, c)` float32 from more rows, with the triangle filter that Pillow has.

    Pillow begins with the columns and wants each channel as numbers of 32 bits, all at full size. This begins
    with the rows: a quarter of the time for a photograph. It keeps to one core, as each decoder does.
    """
    fewer = np.empty((height, pixels[0].size), "float32")
    scale = len(pixels) / height
    for row, centre in enumerate((np.arange(height) + 0.5) * scale):
        first, last = max(0, round(centre - scale)), min(len(pixels), round(centre + scale))
        weights = 1 - np.abs(np.arange(first, last) + 0.5 - centre) / scale
        weights = (weights / weights.sum()).astype("float32")
        rows = pixels[first:last].reshape(last - first, -1)
        np.einsum("r,rx->x", weights, rows.astype("float32"), out=fewer[row])
    return fewer.reshape(height, *pixels.shape[1:])


def mask_files(folder: Path) -> dict[str, Path]:
    """The mask of each image in `folder` that has one, by the image's name without ending."""
    truth = folder / GROUND_TRUTH
    files = sorted(truth.iterdir()) if truth.is_dir() else []
    return {file.stem: file for file in files if file.suffix.lower() in EXTENSIONS}


def read_mask(path: Path, size: tuple[int, int], resize: Resize = "stretch") -> np.ndarray:
    """Read one mask, white on the object.

    Args:
        path: of the file.
        size: `(h, w)` of the result.
        resize: as the image is read.

    Returns:
        `(h, w)` bool, true on the object.

    Raises:
        UnreadableImage: as `read_image`.
    """
    return read_image(path, size, resize).mean(axis=-1) > 127


def to_rgb(image: Image.Image) -> Image.Image:
    """Three channels of 8 bits, as `read_image` says.

    Raises:
        UnreadableImage: floating-point pixels.
    """
    if image.mode.startswith("I"):
        return Image.fromarray((np.clip(np.asarray(image), 0, 65535) >> 8).astype("uint8")).convert("RGB")
    if image.mode == "F":
        raise UnreadableImage("floating-point pixels have no agreed range")
    return image if image.mode == "RGB" else image.convert("RGB")
