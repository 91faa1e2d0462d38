"""Which part of an image the network sees, and where it goes."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    import tensorflow as tf

Resize = Literal["crop", "stretch", "pad"]
RESIZES = get_args(Resize)
DEFAULT_SIZE = 32
"""Side of the images of datasets whose images have any shape."""


@dataclass(frozen=True)
class PictureFormat:
    """What images of any shape are brought to. Training and all that comes after it must agree on it.

    `crop` takes the middle, `stretch` does not keep the aspect ratio, `pad` keeps all of the image with black
    at the sides. All of them are bilinear, with antialiasing. `size` is `(h, w)`.
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


def to_size(image: "tf.Tensor", size: tuple[int, int], resize: Resize) -> "tf.Tensor":
    """An image `(h, w, c)` of any shape as uint8 `(*size, c)`, in a TensorFlow graph.

    It agrees with `images.fit` within one grey level.

    Example:
        >>> import tensorflow as tf
        >>> wide = tf.concat([tf.zeros((4, 4, 3)), tf.fill((4, 4, 3), 200.0)], axis=1)
        >>> [to_size(wide, (2, 2), how)[0, :, 0].numpy().tolist() for how in ("stretch", "pad")]
        [[29, 171], [29, 171]]
    """
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
