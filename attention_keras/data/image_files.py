"""Image files of any kind to RGB pixels, or a reason why not."""

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

EXTENSIONS = frozenset(
    [".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"]
)
LARGEST_PIXELS = 1 << 26
GROUND_TRUTH = "GroundTruth"
"""Folder beside the images with their masks: files of the same names, whatever the ending."""


class UnreadableImage(Exception):
    """The file is not an image that can be used; the message says why."""


def read_image(path: Path, size: tuple[int, int]) -> np.ndarray:
    """Read, convert and resize one image.

    Grey is repeated, alpha dropped (as the exported model does), CMYK and palettes converted, 16 bits cut
    to the upper 8, a camera's orientation applied, the first frame of an animation taken.

    Args:
        path: of the file.
        size: `(h, w)` of the result; the aspect ratio is not kept.

    Returns:
        `(h, w, 3)` uint8.

    Raises:
        UnreadableImage: broken, of an unknown kind, or declared larger than 64 megapixels.
    """
    height, width = size
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path)
        with image:
            if image.width * image.height > LARGEST_PIXELS:
                raise UnreadableImage(f"{image.width}x{image.height} pixels are too many")
            image.draft("RGB", (width, height))
            image = _to_rgb(ImageOps.exif_transpose(image))
            return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
    except UnidentifiedImageError:
        raise UnreadableImage("not an image") from None
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UnreadableImage(reason or type(error).__name__) from None


def mask_files(folder: Path) -> dict[str, Path]:
    """The mask of each image in `folder` that has one, by the image's name without ending."""
    truth = folder / GROUND_TRUTH
    files = sorted(truth.iterdir()) if truth.is_dir() else []
    return {file.stem: file for file in files if file.suffix.lower() in EXTENSIONS}


def read_mask(path: Path, size: tuple[int, int]) -> np.ndarray:
    """Read one mask, white on the object.

    Args:
        path: of the file.
        size: `(h, w)` of the result.

    Returns:
        `(h, w)` bool, true on the object.

    Raises:
        UnreadableImage: as `read_image`.
    """
    return read_image(path, size).mean(axis=-1) > 127


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        return Image.fromarray((np.clip(np.asarray(image), 0, 65535) >> 8).astype("uint8")).convert("RGB")
    if image.mode == "F":
        raise UnreadableImage("floating-point pixels have no agreed range")
    return image.convert("RGB")
