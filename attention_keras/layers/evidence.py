"""What every place of a map says for each class: the terms of a logit that attention has summed."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import keras
from keras import ops

Pool = Literal["softmax", "sigmoid", "average"]
# Variables of a batch norm, and what they begin with.
_NORM = {"gamma": "ones", "beta": "zeros", "mean": "zeros", "variance": "ones"}


@keras.saving.register_keras_serializable(package="attention_keras")
class Evidence(keras.layers.Layer):
    """The terms of a logit, place by place.

    A logit is linear in the descriptors d = sum over i of w_i l_i, apart from the ReLU of the paper's head,
    which for a given image is open or closed for a channel. So it is a sum over the places i of all maps:

        local logit  s_ik = sum over c of W_ck m_c (scale_c l_ic + shift_c)    what place i alone would say
        evidence     e_ik = w_i s_ik                                           and how much of it counts
        rest         r_k  = b_k + (1 - sum over i of w_i) sum over c of W_ck m_c shift_c
        logit_k           = r_k + sum over maps and places of e_ik

    with w the weights of the places (softmaxed attention; a gate of a sigmoid over n; 1/n), scale and shift
    of the batch norm after pooling, m 1 where the ReLU after it is open. W and b are taken less their mean
    over the classes, which changes no probability: the evidence says what speaks for a class more than for
    the others. A single logit stays as it is.

    The weights are those of the layers that classify: `share` hands them over. A saved file holds a copy.

    Args:
        num_classes: k.
        pools: for each map, how it is pooled: `softmax`, `sigmoid` (see AttentionPool) or `average`.
        epsilons: for each map, epsilon of the batch norm after pooling; None for a map without.
        use_bias: whether the classifier has a bias.

    Call arguments:
        maps: for each map a dictionary with `features` `(b, h, w, c)`, `attention` `(b, h, w)` unless it is
            averaged, and `gate` `(b, c)`, what the ReLU gave, where there is one. The channels of all maps
            are the rows of W.
        classes: None, or int `(b,)`: the class that is asked about.

    Returns:
        The evidence of each map, `(b, h, w, k)`, and the rest `(b, k)`; with `classes` only theirs,
        `(b, h, w)` and `(b,)`. Float32 under every dtype policy.

    Example:
        >>> import numpy as np
        >>> layer = Evidence(num_classes=2, pools=["average"], epsilons=[None])
        >>> evidence, rest = layer([{"features": np.ones((1, 2, 2, 3))}])
        >>> total = ops.convert_to_numpy(evidence[0]).sum() + ops.convert_to_numpy(rest).sum()
        >>> tuple(evidence[0].shape), bool(abs(total) < 1e-6)
        ((1, 2, 2, 2), True)
    """

    def __init__(
        self,
        num_classes: int,
        pools: Sequence[Pool],
        epsilons: Sequence[float | None],
        use_bias: bool = True,
        **kwargs,
    ):
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        self.num_classes, self.use_bias = num_classes, use_bias
        self.pools, self.epsilons = tuple(pools), tuple(epsilons)
        self._shared: dict[str, Any] = {}

    def share(self, **variables: Any) -> None:
        """Use these variables, by the names in `build`, instead of making them. Before the first call."""
        self._shared = variables

    def build(self, maps_shape, classes_shape=None):
        channels = [shapes["features"][-1] for shapes in maps_shape]
        self._add("kernel", (sum(channels), self.num_classes), "glorot_uniform")
        if self.use_bias:
            self._add("bias", (self.num_classes,), "zeros")
        for index, (count, epsilon) in enumerate(zip(channels, self.epsilons)):
            if epsilon is not None:
                for name, start in _NORM.items():
                    self._add(f"{name}_{index}", (count,), start)
        self._shared = {}

    def _add(self, name: str, shape: tuple[int, ...], initializer: str) -> None:
        shared = self._shared.get(name)
        made = self.add_weight(shape=shape, initializer=initializer, name=name) if shared is None else shared
        setattr(self, name, made)

    def call(self, maps, classes=None):
        kernel = self._centred(self.kernel)
        chosen = None if classes is None else ops.one_hot(classes, self.num_classes, dtype="float32")
        rest = self._centred(self.bias) if self.use_bias else ops.zeros((self.num_classes,), dtype="float32")
        rest = rest[None] if chosen is None else ops.sum(chosen * rest, axis=-1)
        evidence, row = [], 0
        for index, parts in enumerate(maps):
            features = ops.cast(parts["features"], "float32")
            _, height, width, channels = ops.shape(features)
            weights = self._weights(index, parts)
            scale, shift = self._scale_and_shift(index)
            # (b or 1, c, k): how each channel votes in this image; with classes (b, c, 1).
            votes = kernel[None, row : row + channels]
            row += channels
            if chosen is not None:
                votes = ops.matmul(chosen, ops.transpose(votes[0]))[..., None]
            if "gate" in parts:
                votes = votes * ops.cast(parts["gate"] > 0, "float32")[..., None]
            constant = ops.sum(votes * shift[:, None], axis=1, keepdims=True)
            places = ops.reshape(features, (-1, height * width, channels))
            terms = weights * (ops.matmul(places, votes * scale[:, None]) + constant)
            left = (1 - ops.sum(weights, axis=1)) * constant[:, 0]
            if chosen is None:
                evidence.append(ops.reshape(terms, (-1, height, width, self.num_classes)))
                rest = rest + left
            else:
                evidence.append(ops.reshape(terms, (-1, height, width)))
                rest = rest + left[:, 0]
        return evidence, rest

    def _weights(self, index: int, parts):
        """How much each place counts, `(b, n, 1)`."""
        batch, height, width, _ = ops.shape(parts["features"])
        if self.pools[index] == "average":
            return ops.ones((batch, height * width, 1), dtype="float32") / ops.cast(height * width, "float32")
        attention = ops.reshape(ops.cast(parts["attention"], "float32"), (-1, height * width, 1))
        if self.pools[index] == "sigmoid":
            return attention / ops.cast(height * width, "float32")
        return attention

    def _scale_and_shift(self, index: int):
        """Of the batch norm after pooling: scale l + shift. `(1,)` each where there is none."""
        epsilon = self.epsilons[index]
        if epsilon is None:
            return ops.ones((1,), dtype="float32"), ops.zeros((1,), dtype="float32")
        gamma, beta, mean, variance = (
            ops.cast(getattr(self, f"{name}_{index}"), "float32") for name in _NORM
        )
        scale = gamma * ops.rsqrt(variance + epsilon)
        return scale, beta - mean * scale

    def _centred(self, weights):
        """Less their mean over the classes, of which one alone has none to be compared with."""
        weights = ops.cast(weights, "float32")
        return weights if self.num_classes == 1 else weights - ops.mean(weights, axis=-1, keepdims=True)

    def compute_output_spec(self, maps, classes=None):
        of_class = () if classes is not None else (self.num_classes,)
        shapes = [parts["features"].shape[:3] for parts in maps]
        evidence = [keras.KerasTensor((*shape, *of_class), dtype="float32") for shape in shapes]
        return evidence, keras.KerasTensor((shapes[0][0], *of_class), dtype="float32")

    def save_own_variables(self, store: Mapping[str, Any]) -> None:
        """By name: shared variables come in no order of this layer's."""
        for name in self._names():
            store[name] = ops.convert_to_numpy(getattr(self, name))  # type: ignore[index]

    def load_own_variables(self, store: Mapping[str, Any]) -> None:
        for name in self._names():
            getattr(self, name).assign(store[name])

    def _names(self) -> list[str]:
        norms = [index for index, epsilon in enumerate(self.epsilons) if epsilon is not None]
        names = ["kernel", *(["bias"] if self.use_bias else [])]
        return names + [f"{name}_{index}" for index in norms for name in _NORM]

    def get_config(self):
        config = super().get_config()
        return config | {
            "num_classes": self.num_classes,
            "pools": list(self.pools),
            "epsilons": list(self.epsilons),
            "use_bias": self.use_bias,
        }
