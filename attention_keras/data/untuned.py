"""tf.data without its tuning thread, which keeps whoever is done with a dataset waiting."""

import tensorflow as tf


def untuned(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The same elements, without the thread that tunes parallelism and buffers while they are read.

    An iterator that ends often waits for that thread, and the thread sleeps: 10 ms after it started, then
    twice as long each time, up to a minute. So a prediction of 0.7 s took 1.3 s, and a `fit` of 43 s came
    back 38 s after its last step (TensorFlow 2.21). Without it `AUTOTUNE` means every core for a map, which
    delivers as many images per second (docs/performance.md). A prefetch needs a number: left to itself its
    buffer can double after every pause of the reader.

    Example:
        >>> untuned(tf.data.Dataset.range(2)).options().autotune.enabled
        False
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
