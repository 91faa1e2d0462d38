"""What a trained network answers on the validation and the test images."""

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from attention_keras.data.split import Split
from attention_keras.models.outputs import LOGITS
from attention_keras.training.temperature import fit_temperature


@dataclass(frozen=True, eq=False)
class FinalTest:
    """The end of a training.

    Attributes:
        temperature: fitted to the validation images; 1 without calibration.
        predicted: `(n,)`, the class of each test image.
        accuracy: on the test images, in [0, 1].
    """

    temperature: float
    predicted: np.ndarray
    accuracy: float


def take_final_test(
    model: keras.Model,
    validation: Split | None,
    test: Split,
    in_order: Callable[[Split], tf.data.Dataset],
) -> FinalTest:
    """Calibrate a network on the validation images, and test it.

    Args:
        model: as trained; call this in its strategy's scope.
        validation: images to calibrate on, or None.
        test: images that nothing was chosen by.
        in_order: makes batches of a split.
    """
    # A view without the maps, which nobody reads here.
    classifier = keras.Model(model.input, model.output[LOGITS])
    classifier.jit_compile = False  # Keras's own choice is XLA on a GPU, also where --jit is off
    temperature = 1.0
    if validation is not None:
        logits = classifier.predict(in_order(validation), verbose=0)
        temperature = fit_temperature(logits, np.asarray(validation.labels))
    predicted = classifier.predict(in_order(test), verbose=0).argmax(axis=-1)
    return FinalTest(temperature, predicted, float(np.mean(predicted == test.labels)))
