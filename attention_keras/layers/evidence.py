"""What every place of a map says for each class: the terms of a logit that pooling has summed."""

import itertools
from collections.abc import Mapping
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="attention_keras")
class Evidence(keras.layers.Layer):
    """The terms of a logit, place by place.

    Between pooling and logits every usual layer is linear for a given image: a dense layer and a batch norm
    always; a ReLU, whose channels are open or closed; a layer norm, whose deviation is a number. Votes say
    how much each channel counts for each class in this image. They start as one vote for the class asked
    about, and go back through the layers, step by step, to each pooled map:

        votes V_ck                = the product of the steps' matrices, of this image
        local logit  s_ik         = sum over c of V_ck l_ic + constant_k       what place i alone would say
        evidence     e_ik         = w_i s_ik                                   and how much of it counts
        logit_k                   = rest_k + sum over maps and places of e_ik

    with w the weights of the places: attention, 1/n for an average, 1 for the place that a maximum took. The
    constant is what norms and biases between pooling and classifier add; the classifier's own bias is the
    rest. The weights are those of the layers that classify (`share`); a saved file holds a copy.

    Args:
        num_classes: k.
        steps: the tree of steps from the logits back to the maps. A step has a `kind`, its `inputs`, and what
            it needs: the shapes of its `weights` by name, and positions of its tensors in the call's list. A
            pool by weights may have a position for `valid`: places outside are padding, without evidence.
        centred: a class has its vote less the mean over the classes, which changes no probability of a
            softmax: what speaks for it more than for the others. A single logit stays as it is.

    Call arguments:
        tensors: what the steps need: maps `(b, h, w, c)`, attention and valid places `(b, h, w)`,
            activations.
        classes: None, or int `(b,)`: the class that is asked about.

    Returns:
        The evidence of each map, `(b, h, w, k)`, and the rest `(b, k)`; with `classes` only theirs,
        `(b, h, w)` and `(b,)`. Float32 under every dtype policy.

    Example:
        >>> import numpy as np
        >>> pooled = {"kind": "pool", "features": 0, "by": "average", "inputs": []}
        >>> weights = {"kernel": [3, 2], "bias": [2]}
        >>> dense = {"kind": "dense", "id": 0, "weights": weights, "is_rest": False, "inputs": [pooled]}
        >>> (evidence,), rest = Evidence(num_classes=2, steps=dense)([np.ones((1, 2, 2, 3))])
        >>> total = ops.convert_to_numpy(evidence).sum() + ops.convert_to_numpy(rest).sum()
        >>> tuple(evidence.shape), bool(abs(total) < 1e-6)
        ((1, 2, 2, 2), True)
    """

    def __init__(self, num_classes: int, steps: Mapping[str, Any], centred: bool = True, **kwargs):
        super().__init__(**kwargs | {"dtype": "float32"})
        self.num_classes, self.steps, self.centred = num_classes, steps, centred
        self._shapes = {  # of all weights, by name
            f"{step['id']}_{name}": tuple(shape)
            for step in all_steps(steps)
            for name, shape in step.get("weights", {}).items()
        }

    def share(self, variables: Mapping[str, Any]) -> None:
        """Use these variables, by names `<id>_<weight>`, instead of making some. Before the first call."""
        for name, variable in variables.items():
            setattr(self, f"weight_{name}", variable)

    def build(self, tensors_shape, classes_shape=None):
        for name, shape in self._shapes.items():
            if not hasattr(self, f"weight_{name}"):
                setattr(self, f"weight_{name}", self.add_weight(shape=shape, name=name))

    def call(self, tensors, classes=None):
        votes = ops.eye(self.num_classes, dtype="float32")[None]
        if classes is not None:
            # Not one_hot, which PyTorch refuses where Keras tries the layer with class 1 of one.
            numbers = ops.arange(self.num_classes, dtype="int32")
            votes = ops.cast(ops.cast(classes, "int32")[:, None] == numbers, "float32")[..., None]
        if self.centred and self.num_classes > 1:
            # A class that there is not has no votes, and no evidence.
            votes = votes - ops.sum(votes, axis=1, keepdims=True) / self.num_classes
        evidence: list[Any] = []
        rest = self._back(self.steps, votes, ops.zeros_like(votes[:, 0]), tensors, evidence)
        rest = ops.broadcast_to(rest, (ops.shape(tensors[0])[0], ops.shape(votes)[-1]))
        if classes is not None:
            return [terms[..., 0] for terms in evidence], rest[..., 0]
        return evidence, rest

    def _back(self, step, votes, constant, tensors, evidence: list[Any]):
        """The rest `(b, K)` of votes `(b or 1, c, K)` for a step's output. Their evidence is appended to
        `evidence`; `constant` `(b or 1, K)` is what the steps between here and the classifier add, wherever
        one looks."""
        kind, inputs = step["kind"], step["inputs"]
        if kind == "pool":
            terms, rest = _of_places(step, votes, constant, tensors)
            evidence.append(terms)
            return rest
        if kind in ("concatenate", "add"):
            if kind == "concatenate":
                parts = ops.split(votes, list(itertools.accumulate(step["sizes"]))[:-1], axis=1)
            else:
                weights = self._weight(step, "weight") if step["weights"] else ops.ones(len(inputs))
                parts = [votes * weights[index] for index in range(len(inputs))]
            # Of several maps, none alone is to have what stands behind all of them.
            nothing = ops.zeros_like(constant)
            rests = [self._back(*each, nothing, tensors, evidence) for each in zip(inputs, parts)]
            return sum(rests, constant)
        votes, added = getattr(self, f"_back_through_{kind}")(step, votes, tensors)
        if step["is_rest"]:
            return added + self._back(inputs[0], votes, constant, tensors, evidence)
        return self._back(inputs[0], votes, constant + added, tensors, evidence)

    def _back_through_dense(self, step, votes, tensors):
        """y = W x + b; W of a 1x1 convolution too."""
        kernel = ops.reshape(self._weight(step, "kernel"), step["weights"]["kernel"][-2:])
        return ops.matmul(kernel, votes), _sum(votes, self._weight(step, "bias", 0.0))

    def _back_through_scale(self, step, votes, tensors):
        """y = gamma (x - mean) / deviation + beta, or those parts of it that there are: a batch norm."""
        scale = self._weight(step, "gamma", 1.0)
        if "variance" in step["weights"]:
            scale = scale * ops.rsqrt(self._weight(step, "variance") + step["epsilon"])
        shift = self._weight(step, "beta", 0.0) - self._weight(step, "mean", 0.0) * scale
        scale, shift = scale * step.get("scale", 1.0), shift + step.get("offset", 0.0)
        return votes * ops.reshape(scale, (-1, 1)), _sum(votes, shift)

    def _back_through_layer_norm(self, step, votes, tensors):
        """y = gamma (x - mean over channels) / deviation + beta; the deviation is a number of this image."""
        x = _vectors(tensors[step["tensor"]])
        added = _sum(votes, self._weight(step, "beta", 0.0))
        votes = votes * ops.reshape(self._weight(step, "gamma", 1.0), (-1, 1))
        x = x - ops.mean(x, axis=-1, keepdims=True)
        votes = votes - ops.mean(votes, axis=1, keepdims=True)
        size = ops.rsqrt(ops.mean(ops.square(x), axis=-1) + step["epsilon"])
        return votes * size[:, None, None], added

    def _back_through_relu(self, step, votes, tensors):
        """y = x where the ReLU is open, slope * x below 0, and its ceiling above that."""
        y = _vectors(tensors[step["tensor"]])[..., None]
        is_open = ops.cast(y > 0, "float32")
        slopes = is_open + (1 - is_open) * step["slope"]
        if step["ceiling"] is None:
            return votes * slopes, ops.zeros_like(votes[:, 0])
        cut = ops.cast(y >= step["ceiling"], "float32")
        return votes * slopes * (1 - cut), ops.sum(votes * cut * step["ceiling"], axis=1)

    def _weight(self, step, name: str, otherwise: float | None = None):
        if name not in step["weights"]:
            return ops.convert_to_tensor(otherwise, dtype="float32")
        return ops.cast(getattr(self, f"weight_{step['id']}_{name}"), "float32")

    def save_own_variables(self, store: Mapping[str, Any]) -> None:
        """By name: shared variables come in no order of this layer's."""
        for name in self._shapes:
            store[name] = ops.convert_to_numpy(getattr(self, f"weight_{name}"))  # type: ignore[index]

    def load_own_variables(self, store: Mapping[str, Any]) -> None:
        for name in self._shapes:
            getattr(self, f"weight_{name}").assign(store[name])

    def get_config(self):
        values = {name: getattr(self, name) for name in ("num_classes", "steps", "centred")}
        return super().get_config() | values


def all_steps(step: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """A step and all before it, in the order in which evidence is given."""
    return [step, *(found for child in step["inputs"] for found in all_steps(child))]


def _of_places(step, votes, constant, tensors):
    """Evidence `(b, h, w, K)` of one map, and what of the constant its weights leave over, `(b, K)`."""
    features = ops.cast(tensors[step["features"]], "float32")
    _, height, width, channels = ops.shape(features)
    places = ops.reshape(features, (-1, height * width, channels))
    if step["by"] == "flatten":  # every place has channels, and so votes, of its own
        votes = ops.reshape(votes, (-1, height * width, channels, votes.shape[-1]))
        terms, rest = ops.matmul(places[:, :, None], votes)[:, :, 0], constant
    else:
        weights = _weights_of_places(step, places, tensors)
        share = ops.mean(weights, axis=-1, keepdims=True)
        terms = ops.matmul(weights * places, votes) + share * constant[:, None]
        rest = (1 - ops.sum(share, axis=1)) * constant
    return ops.reshape(terms, (-1, height, width, votes.shape[-1])), rest


def _weights_of_places(step, places, tensors):
    """How much each place counts: `(b or 1, n, 1)`, or for each channel `(b, n, c)`."""
    _, count, channels = ops.shape(places)
    if step["by"] == "average":
        return ops.ones((1, count, 1), dtype="float32") / ops.cast(count, "float32")
    if step["by"] == "max":  # equal places share it
        taken = ops.cast(places >= ops.max(places, axis=1, keepdims=True), "float32")
        return taken / ops.sum(taken, axis=1, keepdims=True)
    weights = ops.cast(tensors[step["weights_of_places"]], "float32")
    weights = ops.reshape(weights, (-1, count, 1 if len(weights.shape) == 3 else channels))
    count = ops.cast(count, "float32")
    if "valid" in step:
        valid = ops.reshape(ops.cast(tensors[step["valid"]], "float32"), (-1, ops.shape(places)[1], 1))
        weights, count = weights * valid, ops.sum(valid, axis=1, keepdims=True)
    return weights / count if step["by"] == "mean of weighted" else weights


def _sum(votes, bias):
    """What a bias adds for each class."""
    return ops.sum(votes * ops.reshape(bias, (-1, 1)), axis=1)


def _vectors(tensor):
    """`(b, c)` in float32, of a tensor that has one place."""
    size = max(side or 1 for side in tensor.shape[1:])
    return ops.reshape(ops.cast(tensor, "float32"), (-1, size))
