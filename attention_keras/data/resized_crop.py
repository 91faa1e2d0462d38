"""Random-resized crop: a random part of an image file, at the network's size.

A part is decoded from the file, at its own resolution, and resized once. What stands for the whole image
depends on `resize`: all of it for `crop`, whose middle evaluation takes; all of it, with its shape changed,
for `stretch`; for `pad` the image with the black at its sides.
"""

import math
from collections.abc import Sequence

import numpy as np
from PIL import ExifTags, Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile

from attention_keras.data.geometry import Resize
from attention_keras.data.images import upright_rgb

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


def random_box(draws: Sequence[float], aspect: float = 1.0) -> tuple[float, float, float, float]:
    """A part of an image, `(top, left, height, width)` in shares of its height and width.

    `draws` are four numbers in [0, 1), for area, ratio, top and left; `aspect` is the image's width over its
    height, by the same of the result. Area and logarithm of the ratio are uniform among those that fit into
    the image, as is the position, so that one draw is enough. An image so long that no part has both an area
    of `SCALE` and a ratio of `RATIO` gives the largest ones that have the ratio.

    Example:
        >>> random_box((0.0, 0.5, 0.5, 0.0), aspect=1.0)[:2]
        (0.204..., 0.0)
        >>> random_box((0.999999, 0.5, 0.9, 0.9), aspect=1.0)[2:]
        (0.999..., 0.999...)
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
    image: Image.Image, draws: Sequence[float], size: tuple[int, int], resize: Resize
) -> np.ndarray:
    """Pixels `(h, w, 3)` uint8 of a random part of an image that is opened and not yet decoded.

    Example:
        >>> grey = Image.new("RGB", (300, 200), (9, 9, 9))
        >>> resized_crop(grey, (0.5, 0.5, 0.5, 0.5), (32, 48), "crop").shape
        (32, 48, 3)
    """
    if not isinstance(image, JpegImageFile):
        image = ImageOps.exif_transpose(image)
    height, width = _framed(*_upright_size(image), size, resize)
    aspect = width / height * size[0] / size[1] if resize == "crop" else 1.0
    top, left, tall, wide = random_box(draws, aspect)
    needed = _GAP * max(size[0] / (tall * height), size[1] / (wide * width))
    if needed < 1:
        image.draft(None, (math.ceil(image.width * needed), math.ceil(image.height * needed)))
    image = upright_rgb(image)
    if resize == "pad":
        image = _padded(image, size)
    lower, right = min(1.0, top + tall) * image.height, min(1.0, left + wide) * image.width
    box = (left * image.width, top * image.height, right, lower)
    return np.asarray(image.resize(size[::-1], Image.Resampling.BILINEAR, box, reducing_gap=_GAP))


def _upright_size(image: Image.Image) -> tuple[int, int]:
    """Height and width once the camera's orientation is applied."""
    turned = image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
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
