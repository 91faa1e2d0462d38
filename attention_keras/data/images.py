"""Image files to pixels at the network's size, or a reason why not.

This is the one path of an image: training, masks, evaluation, queries and prediction read files by it.
`to_size` is its twin in an exported model, which agrees within one grey level.
"""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from attention_keras.data.image_files import (
    MEGAPIXELS,
    UnreadableImage,
    levels,
    open_any,
    open_image,
    size_of,
    upright_rgb,
)
from attention_keras.data.registry import Resize
from attention_keras.errors import UserError

SCALE = (0.35, 1.0)
"""Share of the area of a random part. Training from scratch on a million images goes down to 0.08;
fine-tuning on a few hundred has no use for parts in which the object is mostly cut off."""
RATIO = (3 / 4, 4 / 3)
"""Width over height of a part that becomes a square."""
_FEW = 64
_GAP = 1.25
"""A part is first brought to this many times the size of the result in the cheapest way, then resized: half
the time, for 0.4 levels of grey in a photograph of 1600x1200, less than what JPEG costs."""


@dataclass(frozen=True)
class PictureFormat:
    """What images of any shape are brought to. Training and all that comes after it must agree on it.

    `crop` takes the middle, `stretch` does not keep the aspect ratio, `pad` keeps all of the image with black
    at the sides. All of them are bilinear, with antialiasing. `size` is `(h, w)`. Of images of more than
    8 bits, or of floating point, `values` become black and white; None for 0 to 65535. Of `channels` 1 is
    grey and 3 RGB; others are as in the file.
    """

    size: tuple[int, int]
    resize: Resize
    values: tuple[float, float] | None = None
    channels: int = 3


def read_image(path: Path, to: PictureFormat) -> np.ndarray:
    """One image as `(h, w, c)` uint8; raises UnreadableImage."""
    # Not `draft`, which decodes large JPEGs sooner and to other pixels than an exported model does.
    return _made(path, to, lambda image: fit(upright_rgb(image), to))


def read_part(path: Path, to: PictureFormat, draws: Sequence[float]) -> np.ndarray:
    """A random-resized crop of one image, `(h, w, c)` uint8; raises UnreadableImage."""
    return _made(path, to, lambda image: resized_crop(image, draws, to))


def read_mask(path: Path, to: PictureFormat) -> np.ndarray:
    """One mask, white on the object, as `(h, w)` bool; raises UnreadableImage."""
    return read_image(path, replace(to, values=None, channels=3)).mean(axis=-1) > 127


def check_image(path: Path, to: PictureFormat | None) -> None:
    """Raises UnreadableImage where reading does; of an image for bands (None) up to 100 megapixels."""

    def decoded(image: Image.Image) -> np.ndarray:
        """No header says what is cut off; a JPEG is decoded at an eighth, in half the time."""
        image.draft(None, (1, 1))
        return np.asarray(upright_rgb(image))

    if to is not None:
        _made(path, to, decoded)
        return
    with open_image(path, None) as image:
        if image.width * image.height <= MEGAPIXELS * 1e6:
            decoded(image)


def _made(path: Path, to: PictureFormat, make: Callable[[Image.Image], np.ndarray]) -> np.ndarray:
    """What `make` gives of the file, or of each of its channels where it is more than RGB of 8 bits."""
    with open_any(path, to.channels) as found:
        if isinstance(found, Image.Image):
            pixels = make(found)
        else:
            count = found.shape[-1]
            if count != to.channels and {count, to.channels} != {1, 3}:
                raise UnreadableImage(f"{count} channels, and the model takes {to.channels}")
            array = levels(found, to.values)
            parts, depth = ([array], 3) if count == 3 else (np.moveaxis(array, -1, 0), 1)
            pixels = np.concatenate([make(Image.fromarray(part))[..., :depth] for part in parts], axis=-1)
    if pixels.shape[-1] == to.channels:
        return pixels
    if to.channels == 3:
        return pixels.repeat(3, axis=-1)
    return np.asarray(Image.fromarray(pixels).convert("L"))[..., None]


def model_channels(channels: int | None) -> int:
    """The channels of a model's images; refused where it does not say."""
    if channels is None:
        raise UserError("the model takes images of any number of channels; give its input one")
    return channels


def range_of_deep(files: Sequence[Path], channels: int, few: bool = False) -> tuple[float, float] | None:
    """The least and the greatest value of images of more than 8 bits, or of a `few`; None without any."""

    def ends(file: Path) -> list[float]:
        with suppress(UnreadableImage), open_any(file, channels) as found:
            if isinstance(found, np.ndarray) and found.dtype != np.uint8:
                known = found[np.isfinite(found)]
                return [float(known.min()), float(known.max())] if known.size else []
        return []

    with ThreadPoolExecutor() as threads:
        chosen = files[:: -(-len(files) // _FEW)] if few and len(files) else files
        values = [value for pair in threads.map(ends, chosen) for value in pair]
    low, high = min(values, default=0), max(values, default=0)
    return (low, high) if low < high else None


def frames(height, width, size: tuple[int, int], resize: Resize, numpy=np) -> tuple[Any, Any]:
    """Which part of an image the network sees, and where in `size` it goes: `(top, left, height, width)`."""

    def middle(tall, wide, height, width):
        """The largest part in the middle of the first that has the shape of the second."""
        inner_height = numpy.maximum(1, numpy.minimum(tall, wide * height // width))
        inner_width = numpy.maximum(1, numpy.minimum(wide, tall * width // height))
        return (tall - inner_height) // 2, (wide - inner_width) // 2, inner_height, inner_width

    seen, place = (0, 0, height, width), (0, 0, *size)
    if resize == "crop":
        seen = middle(height, width, *size)
    elif resize == "pad":
        place = middle(*size, height, width)
    return seen, place


def fit(image: Image.Image, to: PictureFormat) -> np.ndarray:
    """Pixels `(h, w, 3)` of an RGB image, as `PictureFormat` says."""
    (top, left, height, width), (above, before, tall, wide) = frames(*image.size[::-1], to.size, to.resize)
    image = image.crop((left, top, left + width, top + height))
    image = image.resize((wide, tall), Image.Resampling.BILINEAR)
    return np.asarray(image.crop((-before, -above, to.size[1] - before, to.size[0] - above)))


def to_size(image, size: tuple[int, int], resize: Resize):
    """An image `(h, w, c)` of any shape as uint8 `(*size, c)`, in a graph: the twin of `fit`."""
    import tensorflow as tf

    height, width = tf.unstack(tf.shape(image)[:2])
    (top, left, height, width), (above, before, *inner) = frames(height, width, size, resize, tf)
    pixels = tf.image.resize(image[top : top + height, left : left + width], inner, antialias=True)
    pixels = tf.cast(tf.round(tf.clip_by_value(pixels, 0.0, 255.0)), tf.uint8)
    return tf.image.pad_to_bounding_box(pixels, above, before, *size)


def fit_box(box: Sequence[float], image: tuple[int, int], to: PictureFormat) -> tuple[float, ...]:
    """`[y0, x0, y1, x1]` in the network's image, of left, top, right, bottom in an image of this `(h, w)`."""
    seen, place = frames(*image, to.size, to.resize)

    def moved(position: float, axis: int) -> float:
        share = (float(position) - seen[axis]) / seen[axis + 2]
        return min(max(place[axis] + share * place[axis + 2], 0.0), float(to.size[axis]))

    left, top, right, bottom = box
    return moved(top, 0), moved(left, 1), moved(bottom, 0), moved(right, 1)


def random_box(draws: Sequence[float], aspect: float = 1.0) -> tuple[float, float, float, float]:
    """A part of an image, `(top, left, height, width)` in shares of its height and width.

    `draws` in [0, 1) are for area, ratio, top and left; `aspect` is the image's width over its height, by the
    same of the result. Area and logarithm of the ratio are uniform among those that fit. An image so long
    that none fits gives the largest parts that have the ratio.
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


def resized_crop(image: Image.Image, draws: Sequence[float], to: PictureFormat) -> np.ndarray:
    """Pixels `(h, w, 3)` uint8 of a random part of an image (for `pad` with its black) not yet decoded."""

    def framed(height: int, width: int) -> tuple[int, int]:
        if to.resize != "pad":
            return height, width
        pixel = max(height / to.size[0], width / to.size[1])
        return round(pixel * to.size[0]), round(pixel * to.size[1])

    height, width = framed(*size_of(image))
    aspect = width / height * to.size[0] / to.size[1] if to.resize == "crop" else 1.0
    top, left, tall, wide = random_box(draws, aspect)
    needed = _GAP * max(to.size[0] / (tall * height), to.size[1] / (wide * width))
    if needed < 1:
        image.draft(None, (math.ceil(image.width * needed), math.ceil(image.height * needed)))
    image = upright_rgb(image)
    height, width = framed(image.height, image.width)
    x, y = (image.width - width) // 2, (image.height - height) // 2
    image = image.crop((x, y, x + width, y + height))
    box = (left * width, top * height, min(1.0, left + wide) * width, min(1.0, top + tall) * height)
    return np.asarray(image.resize(to.size[::-1], Image.Resampling.BILINEAR, box, reducing_gap=_GAP))
