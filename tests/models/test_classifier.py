"""compile and fit on what build_model and attend return: loss and metrics against NumPy."""

import keras
import numpy as np
import pytest

from attention_keras.errors import UserError
from attention_keras.models.classifier import Classifier, TrainingHooks

RNG = np.random.default_rng(0)
TARGETS = np.eye(5, dtype="float32")[RNG.integers(0, 5, 32)]
LEVELS = RNG.normal(size=(32, 3, 5)).astype("float32") * 3


def log_softmax(logits):
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def readout(levels=3, penalty=None):
    """A classifier whose outputs are its inputs: (b, L, k) to level logits and the log of their mean."""
    inputs = keras.Input((levels, 5))
    x = keras.layers.Dense(
        5, use_bias=False, kernel_initializer="identity", kernel_regularizer=penalty, name="same"
    )(inputs)
    logits = keras.ops.logsumexp(keras.ops.log_softmax(x, axis=-1), axis=1) - np.log(levels)
    outputs = {"logits": logits, "level_logits": x} if levels > 1 else {"logits": x[:, 0]}
    return Classifier(inputs, outputs)


def evaluated(model, targets, levels, **loss):
    crossentropy = keras.losses.CategoricalCrossentropy(from_logits=True, **loss)
    model.compile("sgd", crossentropy, metrics=["accuracy"])
    return model.evaluate(levels, targets, batch_size=20, verbose=0, return_dict=True)


def test_the_levels_losses_add_up_and_their_probabilities_are_averaged():
    for levels, smoothing in ((1, 0.0), (3, 0.0), (3, 0.1)):
        logits, smooth = LEVELS[:, :levels], TARGETS * (1 - smoothing) + smoothing / 5
        expected = -(smooth[:, None] * log_softmax(logits)).sum(axis=(1, 2)).mean()
        found = evaluated(readout(levels), TARGETS, logits, label_smoothing=smoothing)
        assert found["loss"] == pytest.approx(expected, rel=1e-5)
        right = np.exp(log_softmax(logits)).mean(axis=1).argmax(-1) == TARGETS.argmax(-1)
        assert found["accuracy"] == pytest.approx(right.mean())


def test_a_penalty_counts_once():
    plain = evaluated(readout(), TARGETS, LEVELS)["loss"]
    penalised = evaluated(readout(penalty=keras.regularizers.L2(0.5)), TARGETS, LEVELS)["loss"]
    assert penalised - plain == pytest.approx(0.5 * 5, rel=1e-4)  # five ones on the diagonal


def test_loss_metrics_and_labels_may_be_given_by_name():
    crossentropy = keras.losses.CategoricalCrossentropy(from_logits=True)
    for levels in (1, 3):
        logits, model = LEVELS[:, :levels], readout(levels)
        model.compile("sgd", {"logits": crossentropy}, metrics={"logits": ["accuracy"]})
        found = model.evaluate(logits, {"logits": TARGETS}, batch_size=20, verbose=0, return_dict=True)
        assert found == pytest.approx(evaluated(readout(levels), TARGETS, logits))
        with pytest.raises(UserError, match="for the output 'logits' alone; got some for attention"):
            model.compile("sgd", {"attention": crossentropy})


def test_losses_and_accuracy_by_name_are_of_logits():
    labels = TARGETS.argmax(-1)
    for name, targets in (("sparse_categorical_crossentropy", labels), ("categorical_crossentropy", TARGETS)):
        model = readout(levels=1)
        model.compile("sgd", name, metrics=["accuracy"])
        found = model.evaluate(LEVELS[:, :1], targets, batch_size=20, verbose=0, return_dict=True)
        assert found == pytest.approx(evaluated(readout(levels=1), TARGETS, LEVELS[:, :1]), rel=1e-5)
    model = readout(levels=1)
    model.activation = "sigmoid"
    model.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
    found = model.evaluate(LEVELS[:, :1], TARGETS, batch_size=20, verbose=0, return_dict=True)
    logits = LEVELS[:, 0].astype("float64")
    assert found["loss"] == pytest.approx((np.log1p(np.exp(logits)) - TARGETS * logits).mean(), rel=1e-5)
    assert found["accuracy"] == pytest.approx(((logits > 0) == TARGETS).mean(), rel=1e-5)


def test_a_compiled_model_comes_out_of_its_file_compiled(tmp_path):
    model = readout()
    crossentropy = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.5, momentum=0.9), {"logits": crossentropy}, metrics=["accuracy"])
    model.train_on_batch(LEVELS, TARGETS)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert int(loaded.optimizer.iterations) == 1
    for compiled in (model, loaded):
        compiled.train_on_batch(LEVELS, TARGETS)
    for weight, expected in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_allclose(*map(keras.ops.convert_to_numpy, (weight, expected)), rtol=1e-5)


def test_hooks_change_the_steps_and_no_file_has_them(tmp_path):
    class MeanWish(keras.metrics.Mean):
        def update_state(self, targets, outputs):
            super().update_state(targets["wish"])

    crossentropy = keras.losses.CategoricalCrossentropy(from_logits=True)
    targets = {"logits": TARGETS, "wish": np.full(32, 7, "float32")}
    model, plain = readout(), readout()
    plain.compile("sgd", crossentropy)
    hooks = TrainingHooks(
        terms=[lambda targets, outputs: 3 * keras.ops.mean(targets["wish"])],
        metrics=[MeanWish(name="wish")],
        replica_loss=lambda loss, images: loss * keras.ops.cast(images, "float32"),
        logs=lambda logs: {name: 10 * value for name, value in logs.items()},
    )
    model.compile("sgd", crossentropy, hooks=hooks)
    alone = plain.evaluate(LEVELS, TARGETS, batch_size=32, verbose=0)
    loss = model.compute_loss(LEVELS, targets, model(LEVELS))
    assert keras.ops.convert_to_numpy(loss) == pytest.approx(32 * (alone + 21), rel=1e-5)
    if keras.backend.backend() != "jax":  # its steps return the state too
        found = model.test_step((LEVELS, targets))
        assert {name: float(value) for name, value in found.items()} == pytest.approx(
            {"loss": 10 * alone, "wish": 70}, rel=1e-5
        )
    with pytest.raises(UserError, match="got some for logits, wish"):
        plain.compute_loss(LEVELS, targets, plain(LEVELS))
    model.save(tmp_path / "hooked.keras")
    again = keras.models.load_model(tmp_path / "hooked.keras")
    assert again.hooks == TrainingHooks()
    assert again.get_compile_config().keys() == plain.get_compile_config().keys()


def test_importing_the_package_imports_no_framework(fresh_process):
    fresh_process(
        "import sys, attention_keras\n"
        "heavy = {'keras', 'tensorflow', 'jax', 'torch', 'numpy', 'matplotlib'} & set(sys.modules)\n"
        "assert attention_keras.__version__ and not heavy, heavy\n"
    )
