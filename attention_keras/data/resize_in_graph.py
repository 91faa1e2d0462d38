"""Images of any shape to the network's size in a TensorFlow graph, as `images.fit` does with Pillow."""

import tensorflow as tf

from attention_keras.data.geometry import Resize, crop_box, padded_box

_IN_A_GRAPH = {"smaller": tf.minimum, "larger": tf.maximum}


def to_size(image: tf.Tensor, size: tuple[int, int], resize: Resize) -> tf.Tensor:
    """An image `(h, w, c)` of any shape as uint8 `(*size, c)`, bilinear with antialiasing.

    Example:
        >>> wide = tf.concat([tf.zeros((4, 4, 3)), tf.fill((4, 4, 3), 200.0)], axis=1)
        >>> [to_size(wide, (2, 2), how)[0, :, 0].numpy().tolist() for how in ("stretch", "pad")]
        [[29, 171], [29, 171]]
    """
    height, width = tf.unstack(tf.shape(image)[:2])
    inner = size
    if resize == "crop":
        top, left, rows, columns = crop_box(height, width, size, **_IN_A_GRAPH)
        image = image[top : top + rows, left : left + columns]
    elif resize == "pad":
        top, left, *inner = padded_box(height, width, size, **_IN_A_GRAPH)
    pixels = tf.image.resize(image, inner, antialias=True)
    pixels = tf.cast(tf.round(tf.clip_by_value(pixels, 0.0, 255.0)), tf.uint8)
    return tf.image.pad_to_bounding_box(pixels, top, left, *size) if resize == "pad" else pixels
