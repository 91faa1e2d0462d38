"""The head for a trained backbone: class attention beside a linear probe, each with a weight of its own."""

from dataclasses import dataclass
from typing import Any, ClassVar

import keras
from keras import layers, ops

from attention_keras.errors import UserError
from attention_keras.layers.class_attention import ClassAttention
from attention_keras.layers.ensemble import WeightedLevels
from attention_keras.layers.predicted_class import PredictedClass
from attention_keras.layers.standardize import Standardize
from attention_keras.models.blocks import POOL
from attention_keras.models.outputs import ATTENTION, LEVEL_LOGITS, LOGITS

PROBE, WEIGHTS, LOCAL, SCORES = "probe", "level_weights", "local_", "scores_"
PREDICTED = "attending_class"
PROBE_WEIGHT, ATTENTION_WEIGHT = 1.0, 0.1  # until held-out images say better
PENALTY = 0.05  # of the squared weights of each classifier


@dataclass(frozen=True)
class ClassHead:
    """A linear probe of the averaged top, and attention of each class with its own classifier row.

        x_i     = (l_i - mean) / deviation             of the averaged map (Standardize)
        m_k     = mean over i of <x_i, v_k> + c_k      the probe
        s_ik    = <x_i, w_k> + b_k                     what place i says for class k by itself
        t_k     = sum over i of a_ik s_ik              a = softmax over the places of s (ClassAttention)
        logit_k = alpha m_k + gamma t_k                (WeightedLevels)

    The average is hard to beat where an object fills the frame, and class attention where it is small. So
    both are trained, each with a loss of its own, and held-out images decide how much each counts:
    `Classifier.weigh`, which `fit(validation_data=...)` calls. Until then, and for good where nothing is
    held out, alpha is 1 and gamma 0.1: no worse than the probe, but half of the gain with small
    objects (docs/results.md).

    The evidence of place i for class k is `alpha <x_i, v_k> / n + gamma a_ik s_ik`. All weights start at
    zero, so that attention starts uniform. Sources: AutoPool (McFee, Salamon and Bello 2018), class-specific
    residual attention (Zhu and Wu 2021).

    With several taps each has class attention and a weight of its own; the probe reads the last, deepest one.

    Args:
        penalty: times the squared weights of each classifier is added to the loss.

    Example:
        >>> ClassHead().penalty
        0.05
    """

    penalty: float = PENALTY
    levels: ClassVar[int] = 1
    global_features: ClassVar[None] = None

    def __post_init__(self):
        if not self.penalty >= 0:
            raise UserError(f"penalty must be 0 or more; got {self.penalty!r}")

    def __call__(self, local, g, num_classes: int) -> dict[str, Any]:
        maps = {tap: Standardize(name=f"{LOCAL}{tap}")(features) for tap, features in local.items()}
        top = list(maps)[-1]
        # By this name, evidence of the average and of attention is one map.
        pool = layers.GlobalAveragePooling2D(data_format="channels_last", name=f"{POOL}{top}_average")
        each, attention = [self._classifier(PROBE, num_classes)(pool(maps[top]))], {}
        for tap, features in maps.items():
            scores = self._classifier(f"{SCORES}{tap}", num_classes)(features)
            logits, attention[tap] = ClassAttention(name=f"{POOL}{tap}")(scores)
            each.append(logits)
        start = [PROBE_WEIGHT] + [ATTENTION_WEIGHT / len(maps)] * len(maps)
        level_logits, logits = WeightedLevels(start, name=WEIGHTS)(each)
        outputs = {LOGITS: logits, LEVEL_LOGITS: level_logits}
        predicted = PredictedClass(name=PREDICTED)(logits)
        chosen = ops.one_hot(predicted, num_classes, dtype="float32")[:, None, None]
        return outputs | {
            ATTENTION + tap: ops.sum(weights * chosen, axis=-1) for tap, weights in attention.items()
        }

    def _classifier(self, name: str, num_classes: int) -> keras.layers.Dense:
        return layers.Dense(
            num_classes,
            kernel_initializer="zeros",
            kernel_regularizer=keras.regularizers.L2(self.penalty),
            dtype="float32",
            name=name,
        )
