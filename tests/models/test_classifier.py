"""compile and fit on what build_model and attend return: loss and metrics against NumPy."""

import keras
import numpy as np
import pytest

from attention_keras.errors import UserError
from attention_keras.models.classifier import Classifier

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 5, 32)
TARGETS = np.eye(5, dtype="float32")[LABELS]
LEVELS = RNG.normal(size=(32, 3, 5)).astype("float32") * 3
CROSSENTROPY = keras.losses.CategoricalCrossentropy(from_logits=True)


def log_softmax(logits):
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def readout(levels=3, penalty=None, **options):
    """A classifier whose outputs are its inputs: (b, L, k) to level logits and the log of their mean."""
    inputs = keras.Input((levels, 5))
    x = keras.layers.Dense(
        5, use_bias=False, kernel_initializer="identity", kernel_regularizer=penalty, name="same"
    )(inputs)
    logits = keras.ops.logsumexp(keras.ops.log_softmax(x, axis=-1), axis=1) - np.log(levels)
    outputs = {"logits": logits, "level_logits": x} if levels > 1 else {"logits": x[:, 0]}
    return Classifier(inputs, outputs, **options)


def evaluated(model, targets=TARGETS, loss=CROSSENTROPY, metrics=("accuracy",)):
    metrics = metrics if isinstance(metrics, dict) else list(metrics)
    model.compile("sgd", loss, metrics=metrics)
    levels = LEVELS[:, : model.input.shape[1]]
    return model.evaluate(levels, targets, batch_size=20, verbose=0, return_dict=True)


def test_the_levels_losses_add_up_and_their_probabilities_are_averaged():
    for levels, smoothing in ((1, 0.0), (3, 0.0), (3, 0.1)):
        logits, smooth = LEVELS[:, :levels], TARGETS * (1 - smoothing) + smoothing / 5
        right = np.exp(log_softmax(logits)).mean(axis=1).argmax(-1) == LABELS
        expected = -(smooth[:, None] * log_softmax(logits)).sum(axis=(1, 2)).mean()
        loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
        expected = pytest.approx({"loss": expected, "accuracy": right.mean()}, rel=1e-5)
        assert evaluated(readout(levels), loss=loss) == expected
        named = {"loss": {"logits": loss}, "metrics": {"logits": ["accuracy"]}}
        assert evaluated(readout(levels), {"logits": TARGETS}, **named) == expected
        with pytest.raises(UserError, match="for the output 'logits' alone; got some for attention"):
            readout(levels).compile("sgd", {"attention": loss})
    penalised = evaluated(readout(penalty=keras.regularizers.L2(0.5)))["loss"]  # ones on the diagonal, once
    assert penalised - evaluated(readout())["loss"] == pytest.approx(0.5 * 5, rel=1e-4)


def test_losses_and_accuracy_by_name_are_of_logits():
    expected = pytest.approx(evaluated(readout(1)), rel=1e-5)
    assert evaluated(readout(1), LABELS, "sparse_categorical_crossentropy") == expected
    assert evaluated(readout(1), TARGETS, "categorical_crossentropy") == expected
    logits = LEVELS[:, 0].astype("float64")
    loss, right = np.log1p(np.exp(logits)) - TARGETS * logits, (logits > 0) == TARGETS
    found = evaluated(readout(1, activation="sigmoid"), TARGETS, "binary_crossentropy")
    assert found == pytest.approx({"loss": loss.mean(), "accuracy": right.mean()}, rel=1e-5)


def test_a_compiled_model_comes_out_of_its_file_compiled(tmp_path):
    model = readout()
    model.compile(keras.optimizers.SGD(0.5, momentum=0.9), {"logits": CROSSENTROPY}, metrics=["accuracy"])
    model.train_on_batch(LEVELS, TARGETS)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for compiled in (model, loaded):
        compiled.train_on_batch(LEVELS, TARGETS)
    assert int(loaded.optimizer.iterations) == 2
    for weight, expected in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_allclose(*map(keras.ops.convert_to_numpy, (weight, expected)), rtol=1e-5)
