"""The optimiser's moving average of the weights, in the network where it is validated, tested and saved."""

import keras


class AverageInPlace(keras.callbacks.Callback):
    """Puts the average into the network for validation and for all that is written after an epoch.

    Its place is behind what writes and before the checkpoint, which holds the weights that training goes on
    with. After the last epoch of a stage, the `last` counted from 1, these are the average: it is what the
    stage leaves to the next, to the test and to the files. Keras's SwapEMAWeights swaps by adding and
    subtracting, which moves the last bits of the weights.
    """

    def __init__(self, last: int):
        super().__init__()
        self.last, self.is_last = last, False

    def on_test_begin(self, logs=None):
        variables = self.model.trainable_variables
        self.trained = [keras.ops.convert_to_numpy(variable) for variable in variables]
        self.model.optimizer.finalize_variable_values(variables)

    def on_epoch_end(self, epoch, logs=None):
        self.is_last = epoch + 1 == self.last
        self._take_out()

    def on_train_end(self, logs=None):
        # At the end of each `fit` Keras puts the average in, also where another `fit` goes on with the stage.
        self._take_out()

    def _take_out(self):
        if not self.is_last:
            for variable, trained in zip(self.model.trainable_variables, self.trained, strict=True):
                variable.assign(trained)
