"""What files of version 0.1 hold where newer ones hold Keras's own layer."""

import keras


@keras.saving.register_keras_serializable(package="attention_keras")
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` under the name that version 0.1 saved it by.

    A saved file names layers, and the places of their weights, by their class. Nothing new is made of it.
    """
