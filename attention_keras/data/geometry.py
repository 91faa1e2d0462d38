"""From a picture of any shape to the network's: which part is taken, and where it goes."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

from attention_keras.errors import UserError

Resize = Literal["crop", "stretch", "pad"]
RESIZES = get_args(Resize)
DEFAULT_SIZE = 32
"""Side of the images of datasets whose pictures have any shape."""
MEGAPIXELS, MOST_MEGAPIXELS = 100, 178
"""Millions of pixels above which a picture is refused before it is decoded, and how far that may be raised:
Pillow refuses what is larger."""


@dataclass(frozen=True)
class PictureFormat:
    """What pictures of any shape are brought to. Training and all that comes after it must agree on it.

    Attributes:
        size: `(h, w)` in pixels.
        resize: `crop` takes the middle, `stretch` does not keep the aspect ratio, `pad` keeps all of the
            picture with black at the sides. With antialiasing.
        megapixels: millions of pixels above which a picture is refused.
    """

    size: tuple[int, int]
    resize: Resize
    megapixels: int = MEGAPIXELS


def check_megapixels(value: int) -> None:
    """Refuse a limit on the size of pictures that means nothing.

    Raises:
        UserError: it is not from 1 to what Pillow reads.
    """
    if not 1 <= value <= MOST_MEGAPIXELS:
        raise UserError(f"megapixels must be from 1 to {MOST_MEGAPIXELS}; got {value}")


def crop_box(height, width, size: tuple[Any, Any], *, smaller=min, larger=max) -> tuple[Any, Any, Any, Any]:
    """The largest part in the middle of a picture that has the shape of `size`.

    Args:
        height, width: of the picture, in pixels.
        size: `(h, w)` that it will be brought to.
        smaller, larger: of two numbers; in a graph `tf.minimum` and `tf.maximum`.

    Returns:
        `(top, left, height, width)`.

    Example:
        >>> crop_box(100, 200, (32, 32))
        (0, 50, 100, 100)
    """
    tall, wide = size
    inner_height = larger(1, smaller(height, width * tall // wide))
    inner_width = larger(1, smaller(width, height * wide // tall))
    return (height - inner_height) // 2, (width - inner_width) // 2, inner_height, inner_width


def padded_box(height, width, size: tuple[int, int], **functions) -> tuple[Any, Any, Any, Any]:
    """Where the whole picture goes inside `size`, as large as it fits; black is around it.

    Args:
        height, width: of the picture, in pixels.
        size: `(h, w)` of the result.
        functions: as for `crop_box`.

    Returns:
        `(top, left, height, width)`.

    Example:
        >>> padded_box(100, 200, (32, 32))
        (8, 0, 16, 32)
    """
    return crop_box(*size, (height, width), **functions)
