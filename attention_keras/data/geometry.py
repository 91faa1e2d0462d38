"""Which part of an image the network sees, and where it goes."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

Resize = Literal["crop", "stretch", "pad"]
RESIZES = get_args(Resize)
DEFAULT_SIZE = 32
"""Side of the images of datasets whose images have any shape."""


@dataclass(frozen=True)
class PictureFormat:
    """What images of any shape are brought to. Training and all that comes after it must agree on it.

    Attributes:
        size: `(h, w)` in pixels.
        resize: `crop` takes the middle, `stretch` does not keep the aspect ratio, `pad` keeps all of the
            image with black at the sides. All of them bilinear, with antialiasing.
    """

    size: tuple[int, int]
    resize: Resize


def crop_box(height, width, size: tuple[Any, Any], *, smaller=min, larger=max) -> tuple[Any, Any, Any, Any]:
    """`(top, left, height, width)` of the largest part in the middle that has the shape of `size`.

    In a TensorFlow graph `smaller` and `larger` are `tf.minimum` and `tf.maximum`.

    Example:
        >>> crop_box(100, 200, (32, 32))
        (0, 50, 100, 100)
    """
    tall, wide = size
    inner_height = larger(1, smaller(height, width * tall // wide))
    inner_width = larger(1, smaller(width, height * wide // tall))
    return (height - inner_height) // 2, (width - inner_width) // 2, inner_height, inner_width


def padded_box(height, width, size: tuple[int, int], **functions) -> tuple[Any, Any, Any, Any]:
    """`(top, left, height, width)` of the whole image inside `size`, as large as it fits.

    Example:
        >>> padded_box(100, 200, (32, 32))
        (8, 0, 16, 32)
    """
    return crop_box(*size, (height, width), **functions)
