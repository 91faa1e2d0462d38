"""Image files to pixels inside the graph, where a bad file costs its own row and nothing else."""

from collections.abc import Sequence

import tensorflow as tf

from attention_keras.data.geometry import Resize, to_size

PARALLEL = 4


def decode_images(
    image_bytes, image_shape: tuple[int, int, int], resize: Resize, values: Sequence[float] | None = None
):
    """Pixels of a batch of image files, uint8 `(b, H, W, c)`, and which of them are images, bool `(b)`.

    Of a PNG of 16 bits `values` become 0 and 255, where they are given.

    JPEG, PNG, GIF (its first frame) and BMP, brought to `image_shape`. What cannot be decoded is black.

    TensorFlow has no try. A tf.data pipeline can leave out elements that fail, so the files go through one,
    numbered, and those that come out are put where their numbers say. It starts with a blank element of
    its own, because a batch must not be empty.
    """

    def read(number, content):
        if values:
            # The bits of a PNG stand at this place of its header.
            is_deep = tf.strings.substr(content, 24, 1) == b"\x10"
            is_deep &= tf.strings.substr(content, 1, 3) == b"PNG"
            image = tf.cond(is_deep, lambda: deep(content), lambda: plain(content))
        else:
            image = plain(content)
        image = tf.ensure_shape(image, (None, None, image_shape[-1]))
        return number, to_size(image, image_shape[:2], resize)

    def deep(content):
        low, high = values
        pixels = tf.cast(tf.io.decode_png(content, image_shape[-1], tf.uint16), tf.float32)
        levels = (pixels - low) * tf.constant(255 / (high - low), tf.float32)
        return tf.cast(tf.round(tf.clip_by_value(levels, 0.0, 255.0)), tf.uint8)

    def plain(content):
        return tf.cond(
            tf.io.is_jpeg(content),
            # As Pillow decodes it; TensorFlow's default is up to six levels of grey away.
            lambda: tf.io.decode_jpeg(content, image_shape[-1], dct_method="INTEGER_ACCURATE"),
            lambda: tf.io.decode_image(content, channels=image_shape[-1], expand_animations=False),
        )

    rows = tf.shape(image_bytes)[0]
    files = tf.data.Dataset.from_tensor_slices((tf.range(rows), image_bytes))
    decoded = files.map(read, num_parallel_calls=PARALLEL).ignore_errors()
    blank = tf.data.Dataset.from_tensors((rows, tf.zeros(image_shape, tf.uint8)))
    batch = blank.concatenate(decoded).batch(tf.cast(rows, tf.int64) + 1)
    numbers, pixels = batch.get_single_element()
    images = tf.scatter_nd(numbers[:, None], pixels, tf.stack([rows + 1, *image_shape]))[:rows]
    valid = tf.scatter_nd(numbers[:, None], tf.ones_like(numbers), [rows + 1])[:rows] > 0
    return tf.ensure_shape(images, (None, *image_shape)), valid
