"""The model that `build_model` and `attend` return: named outputs, trained on the logits among them."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import keras
import numpy as np
from keras import ops

from attention_keras.errors import UserError
from attention_keras.models.class_head import find_weighted_levels, weigh_levels
from attention_keras.models.outputs import LEVEL_LOGITS, LOGITS

Activation = Literal["softmax", "sigmoid", "linear"]


@dataclass(frozen=True)
class TrainingHooks:
    """What a trainer changes about the steps of a `Classifier`; `compile` takes it, no file holds it. `terms`
    are added to the loss in training, `metrics` updated with targets, which may hold more than labels, and
    outputs."""

    terms: Sequence[Callable[[Any, Mapping[str, Any]], Any]] = ()
    metrics: Sequence[keras.metrics.Metric] = ()
    replica_loss: Callable[[Any, Any], Any] = lambda loss, images: loss  # of one replica of several
    logs: Callable[[dict[str, Any]], dict[str, Any]] = lambda logs: logs  # of a step, for `fit`


@keras.saving.register_keras_serializable(package="attention_keras")
class Classifier(keras.Model):
    """A functional model with a dictionary of outputs that `compile` and `fit` train as any classifier.

    It hands `logits` alone to loss and metrics, so that attention maps stay outputs while it trains. A
    network of several classifiers has `level_logits` `(b, L, k)` too: its loss is the sum of the levels'
    losses (paper, section 3.2; `2_level_atten_1global_pred-ensemble` of the official code). Loss, metrics and
    labels may be given by the name of the output too, `{"logits": ...}`.

    Args:
        inputs: as `keras.Model` takes them.
        outputs: a dictionary with `logits` `(b, k)`.
        name: of the model.
        activation: what makes probabilities of the logits: `softmax`, `sigmoid`, or nothing, `linear`. This
            and the following travel in the model's file.
        class_names: k names, where they are known.
        temperature: what the logits are divided by before the activation; of tags, a number for each.
        thresholds: of tags, the probability from which on an image has each; None for 0.5.
        value_range: the values in image files that become 0 and 255, where these have more than 8 bits.

    Raises:
        UserError: by `compile` and `fit`: a loss, metrics or labels for another output.

    Example:
        >>> import numpy as np
        >>> from attention_keras import build_model
        >>> model = build_model("vgg-att1-pc", num_classes=2, width=0.03)
        >>> model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        >>> list(model.fit(np.zeros((2, 32, 32, 3)), np.array([0, 1]), verbose=0).history)
        ['loss']
    """

    hooks = TrainingHooks()

    def __init__(
        self,
        inputs,
        outputs,
        name=None,
        *,
        activation: Activation = "softmax",
        class_names: Sequence[str] | None = None,
        temperature: float | Sequence[float] = 1.0,
        thresholds: Sequence[float] | None = None,
        value_range: Sequence[float] | None = None,
        **options,
    ):
        super().__init__(inputs, outputs, name=name, **options)
        if activation not in (allowed := get_args(Activation)):
            raise UserError(f"activation must be one of {', '.join(allowed)}; got {activation!r}")
        self.activation, self.temperature, self.thresholds = activation, temperature, thresholds
        self.value_range = value_range
        self.class_names = None if class_names is None else tuple(class_names)

    @property
    def settings(self) -> dict[str, Any]:
        """What this class is made with besides its graph."""
        numbers = {name: getattr(self, name) for name in ("temperature", "thresholds", "value_range")}
        numbers = {name: np.asarray(n, "float64").tolist() for name, n in numbers.items() if n is not None}
        names = None if self.class_names is None else list(self.class_names)
        return {"activation": self.activation, "class_names": names} | numbers

    def like(self, inputs, outputs) -> "Classifier":
        """A plain Classifier with another graph and the same settings."""
        return Classifier(inputs, outputs, name=self.name, **self.settings)

    def get_config(self):
        return super().get_config() | self.settings

    def compile(self, *args, hooks=None, **options):
        self.hooks = hooks or TrainingHooks()
        given = inspect.signature(super().compile).bind(*args, **options).arguments
        for name in {"loss", "loss_weights", "metrics", "weighted_metrics"} & given.keys():
            given[name] = _of_logits(given[name])
        loss = given.get("loss")
        if isinstance(loss, str) and loss.endswith("_crossentropy"):
            # By its name it would take the outputs for probabilities.
            kind = "".join(word.capitalize() for word in loss.split("_"))
            given["loss"] = getattr(keras.losses, kind)(from_logits=True)
        if self.activation == "sigmoid" and given.get("metrics") in ("accuracy", ["accuracy"]):
            given["metrics"] = [keras.metrics.BinaryAccuracy("accuracy", threshold=0.0)]
        super().compile(**given)

    def compile_from_config(self, config):
        """Keras calls it for a file, and wants one of a model whose `compile` is its own."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def fit(self, *args, **options):
        """As in Keras; a class head is weighed by the `validation_data` before each validation."""
        given = inspect.signature(super().fit).bind(*args, **options).arguments
        data, before = given.get("validation_data"), given.get("callbacks") or []
        if data is not None and find_weighted_levels(self) is not None:
            before = before.callbacks if isinstance(before, keras.callbacks.CallbackList) else before
            weigh, held_out = keras.callbacks.LambdaCallback(), data if isinstance(data, tuple) else (data,)
            weigh.on_test_begin = lambda logs=None: self.weigh(*held_out)
            given["callbacks"] = [*keras.tree.flatten(before), weigh]
        return super().fit(**given)

    def weigh(self, x, y=None, sample_weight=None) -> list[float]:
        """Set how much the classifiers of a class head count, by images that none was trained on.

        The weights are those under which the labels are most likely; they calibrate the logits as well.
        `fit` calls this with its `validation_data` before each validation, and the last ones stay.

        Args:
            x: images, or a dataset of batches `(x, y)`.
            y: labels of images: numbers `(n,)`, or `(n, k)`, one-hot or of several classes each.
            sample_weight: not used.

        Returns:
            The weights: of the probe, then of class attention at each tap.

        Raises:
            UserError: the model has no class head.

        Example:
            >>> import numpy as np
            >>> from attention_keras import build_model
            >>> model = build_model("vgg-att1-class", num_classes=2, width=0.03)
            >>> len(model.weigh(np.zeros((4, 32, 32, 3)), np.array([0, 1, 0, 1])))
            2
        """
        return weigh_levels(self, x, y, self.activation)

    @property
    def metrics(self):
        return [*super().metrics, *self.hooks.metrics]

    def train_step(self, *arguments):
        return self.hooks.logs(super().train_step(*arguments))

    def test_step(self, *arguments):
        return self.hooks.logs(super().test_step(*arguments))

    def explain(self, images, of="predicted", versus=None):
        """As `attention_keras.explain(model, images, of, versus)`."""
        from attention_keras.explaining.explain import explain

        return explain(self, images, of, versus)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        labels, sample_weight, loss_of = self._labels(y), _of_logits(sample_weight), super().compute_loss
        levels = ops.unstack(y_pred[LEVEL_LOGITS], axis=1) if LEVEL_LOGITS in y_pred else [y_pred[LOGITS]]
        loss = sum(loss_of(x, labels, logits, sample_weight, training) for logits in levels)
        if len(levels) > 1:
            # Each counts the penalties of the layers, a replica its share, which belong in the sum once.
            penalties = sum(self._aggregate_additional_loss(loss) for loss in self.losses)
            loss = loss - (len(levels) - 1) * penalties
        if not training:
            return loss
        loss = loss + sum(term(y, y_pred) for term in self.hooks.terms)
        return self.hooks.replica_loss(loss, ops.shape(y_pred[LOGITS])[0])

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        for metric in self.hooks.metrics:
            metric.update_state(y, y_pred)
        return super().compute_metrics(x, self._labels(y), y_pred[LOGITS], _of_logits(sample_weight))

    def _labels(self, targets):
        has_more = isinstance(targets, Mapping) and (self.hooks.terms or self.hooks.metrics)
        return targets[LOGITS] if has_more else _of_logits(targets)


def probabilities_of(model: keras.Model, temperature: float | Sequence[float] = 1.0) -> Callable:
    """What makes probabilities of a model's logits `(..., k)`; a model of another class has a softmax."""
    activation = getattr(model, "activation", "softmax")
    if activation == "softmax" and model.output[LOGITS].shape[-1] == 1:
        raise UserError(
            "the model has one logit, whose softmax is 1 for every image; set model.activation to "
            "'sigmoid' and save it again"
        )
    function = keras.activations.get(activation)
    divisor = np.asarray(temperature, "float32")
    return lambda logits: function(logits / divisor)


def _of_logits(given: Any) -> Any:
    """What is given for the output that is trained, by its name or without."""
    if not isinstance(given, Mapping):
        return given
    if list(given) != [LOGITS]:
        raise UserError(
            f"loss, metrics and labels are for the output {LOGITS!r} alone; got some for {', '.join(given)}"
        )
    return given[LOGITS]
