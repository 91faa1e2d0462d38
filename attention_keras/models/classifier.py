"""The model that `build_model` and `attend` return: named outputs, trained on the logits among them."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import keras
from keras import ops

from attention_keras.errors import UserError
from attention_keras.models.outputs import LEVEL_LOGITS, LOGITS

Activation = Literal["softmax", "sigmoid", "linear"]


@keras.saving.register_keras_serializable(package="attention_keras")
class Classifier(keras.Model):
    """A functional model with a dictionary of outputs that `compile` and `fit` train as any classifier.

    A plain Keras model takes a loss for every output of a dictionary. This one hands `logits` alone to the
    loss and the metrics, so that attention maps stay outputs while it trains. A network of several
    classifiers (`indep`) has `level_logits` `(b, L, k)` too: its loss is the sum of the levels' losses
    (paper, section 3.2; ClassNLLCriterion on added log-probabilities in `2_level_atten_1global_pred-ensemble`
    of the official code), and its metrics see `logits`, the mean of the levels' probabilities.

    Loss, metrics and labels may be given by the name of the output too, `{"logits": ...}`.

    What the numbers mean travels in the model's file: `activation`, `class_names` and `temperature`.

    Args:
        inputs, outputs: as `keras.Model` takes them; `outputs` is a dictionary with `logits` `(b, k)`.
        activation: what makes probabilities of the logits: `softmax`, `sigmoid`, or nothing, `linear`.
        class_names: k names, where they are known.
        temperature: what the logits are divided by before the activation.

    Raises:
        UserError: by `compile` and `fit`: a loss, metrics or labels for another output.

    Example:
        >>> import numpy as np
        >>> from attention_keras import build_model
        >>> model = build_model("vgg-att1-pc", num_classes=2, width=0.03)
        >>> model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        >>> history = model.fit(np.zeros((2, 32, 32, 3)), np.array([0, 1]), verbose=0)
        >>> list(history.history)
        ['loss']
    """

    def __init__(
        self,
        inputs,
        outputs,
        name=None,
        *,
        activation: Activation = "softmax",
        class_names: Sequence[str] | None = None,
        temperature: float = 1.0,
        **options,
    ):
        super().__init__(inputs, outputs, name=name, **options)
        if activation not in get_args(Activation):
            raise UserError(
                f"activation must be one of {', '.join(get_args(Activation))}; got {activation!r}"
            )
        self.activation, self.temperature = activation, float(temperature)
        self.class_names = None if class_names is None else tuple(class_names)

    @property
    def settings(self) -> dict[str, Any]:
        """What this class is made with besides its graph."""
        names = None if self.class_names is None else list(self.class_names)
        return {"activation": self.activation, "class_names": names, "temperature": self.temperature}

    def like(self, inputs, outputs, name: str | None = None) -> "Classifier":
        """A plain Classifier with another graph and the same settings."""
        return Classifier(inputs, outputs, name=name or self.name, **self.settings)

    def get_config(self):
        return super().get_config() | self.settings

    def compile(
        self,
        optimizer="rmsprop",
        loss=None,
        loss_weights=None,
        metrics=None,
        weighted_metrics=None,
        **options,
    ):
        named = {"loss": loss, "loss_weights": loss_weights, "metrics": metrics}
        named["weighted_metrics"] = weighted_metrics
        super().compile(optimizer, **{name: _of_logits(value) for name, value in named.items()}, **options)

    def compile_from_config(self, config):
        """Keras calls it for a file, and wants one of a model whose `compile` is its own."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        y, sample_weight = _of_logits(y), _of_logits(sample_weight)
        if LEVEL_LOGITS not in y_pred:
            return super().compute_loss(x, y, y_pred[LOGITS], sample_weight, training)
        levels = ops.unstack(y_pred[LEVEL_LOGITS], axis=1)
        losses = [
            super(Classifier, self).compute_loss(x, y, logits, sample_weight, training) for logits in levels
        ]
        # Each of them counts the penalties of the layers, which belong in the sum once.
        return sum(losses) - (len(levels) - 1) * sum(self.losses)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        return super().compute_metrics(x, _of_logits(y), y_pred[LOGITS], _of_logits(sample_weight))


def _of_logits(given: Any) -> Any:
    """What is given for the output that is trained, by its name or without."""
    if not isinstance(given, Mapping):
        return given
    if list(given) != [LOGITS]:
        raise UserError(
            f"loss, metrics and labels are for the output {LOGITS!r} alone; got some for {', '.join(given)}"
        )
    return given[LOGITS]
