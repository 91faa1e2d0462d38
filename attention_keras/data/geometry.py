"""Which part of an image the network sees, and where it goes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    import tensorflow as tf

Resize = Literal["crop", "stretch", "pad"]
RESIZES = get_args(Resize)
DEFAULT_SIZE = 32
"""Side of the images of datasets whose images have any shape."""
SCALE = (0.35, 1.0)
"""Share of the area of a random part. Training from scratch on a million images goes down to 0.08;
fine-tuning on a few hundred has no use for parts in which the object is mostly cut off."""
RATIO = (3 / 4, 4 / 3)
"""Width over height of a part that becomes a square."""


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


def crop_box(height, width, size: tuple[Any, Any], *, smaller=min, larger=max) -> tuple[Any, Any, Any, Any]:
    """`(top, left, height, width)` of the largest part in the middle that has the shape of `size`."""
    tall, wide = size
    inner_height = larger(1, smaller(height, width * tall // wide))
    inner_width = larger(1, smaller(width, height * wide // tall))
    return (height - inner_height) // 2, (width - inner_width) // 2, inner_height, inner_width


def padded_box(height, width, size: tuple[int, int], **functions) -> tuple[Any, Any, Any, Any]:
    """`(top, left, height, width)` of the whole image inside `size`, as large as it fits."""
    return crop_box(*size, (height, width), **functions)


def fit_box(
    box: Sequence[float], image: tuple[int, int], to: PictureFormat
) -> tuple[float, float, float, float]:
    """`[y0, x0, y1, x1]` in the network's image, of left, top, right, bottom in an image of this `(h, w)`."""
    seen, place = (0, 0, *image), (0, 0, *to.size)
    if to.resize == "crop":
        seen = crop_box(*image, to.size)
    elif to.resize == "pad":
        place = padded_box(*image, to.size)

    def moved(position: float, axis: int) -> float:
        share = (float(position) - seen[axis]) / seen[axis + 2]
        return min(max(place[axis] + share * place[axis + 2], 0.0), float(to.size[axis]))

    left, top, right, bottom = box
    return moved(top, 0), moved(left, 1), moved(bottom, 0), moved(right, 1)


def random_box(draws: Sequence[float], aspect: float = 1.0) -> tuple[float, float, float, float]:
    """A part of an image, `(top, left, height, width)` in shares of its height and width.

    `draws` are four numbers in [0, 1), for area, ratio, top and left; `aspect` is the image's width over its
    height, by the same of the result. Area and logarithm of the ratio are uniform among those that fit into
    the image. One so long that none fits gives the largest parts that have the ratio.
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


def to_size(image: "tf.Tensor", size: tuple[int, int], resize: Resize) -> "tf.Tensor":
    """An image `(h, w, c)` of any shape as uint8 `(*size, c)`, in a graph: the twin of `images.fit`."""
    import tensorflow as tf

    in_a_graph = {"smaller": tf.minimum, "larger": tf.maximum}
    height, width = tf.unstack(tf.shape(image)[:2])
    inner: Any = size
    if resize == "crop":
        top, left, rows, columns = crop_box(height, width, size, **in_a_graph)
        image = image[top : top + rows, left : left + columns]
    elif resize == "pad":
        top, left, *inner = padded_box(height, width, size, **in_a_graph)
    pixels = tf.image.resize(image, inner, antialias=True)
    pixels = tf.cast(tf.round(tf.clip_by_value(pixels, 0.0, 255.0)), tf.uint8)
    return tf.image.pad_to_bounding_box(pixels, top, left, *size) if resize == "pad" else pixels
