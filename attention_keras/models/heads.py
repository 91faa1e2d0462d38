"""From local features and g to attention and logits: the linear head, and the paper's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from keras import layers

from attention_keras.errors import UserError
from attention_keras.layers.attention_pool import NORMALIZATIONS, AttentionPool
from attention_keras.layers.compatibility import COMPATIBILITIES, CompatibilityScore
from attention_keras.layers.ensemble import LevelEnsemble
from attention_keras.models.blocks import POOL, Builder
from attention_keras.models.outputs import GLOBAL
from attention_keras.models.spec import Aggregate, Head, LocalNorm, Projection

PAPER_DROPOUT = 0.5
_BATCH_NORM = {"momentum": 0.9, "epsilon": 1e-5}


@dataclass(frozen=True)
class AttentionHead:
    """What stands on the taps of a network.

    `linear`: local features normalised; g batch-normed and mapped to c channels by one linear layer a tap;
    scores, attention, descriptors, one linear classifier on these and, where there is one, on an averaged
    map. `paper`: local features as they are; each descriptor goes through BN -> ReLU -> dropout before the
    classifier, and so does g where it is mapped.

    The arguments are those of `attend`.

    Raises:
        UserError: a value that is not allowed, or that the head has no use for.
    """

    head: Head = "linear"
    compat: str = "scaled"
    normalization: str = "softmax"
    local_norm: LocalNorm | None = None
    aggregate: Aggregate = "concat"
    project: Projection = "down"
    dropout: float | None = None

    def __post_init__(self):
        for name, allowed in _ALLOWED.items():
            if getattr(self, name) not in allowed:
                known = ", ".join(value for value in allowed if value)
                raise UserError(f"{name} must be one of {known}; got {getattr(self, name)!r}")
        if self.head == "linear" and self.dropout is not None:
            raise UserError("head_dropout is for head='paper'; the linear head has no dropout, leave it out")

    def __call__(
        self,
        local: Mapping[str, Any],
        queries: Mapping[str, Any],
        num_classes: int,
        builder: Builder,
        averaged: Any = None,
    ):
        """Outputs by name.

        Args:
            local: tap -> local features `(b, h, w, c)`.
            queries: tap -> g `(b, d)`, or None where the score needs none.
            num_classes: k.
            builder: makes the layers.
            averaged: a map `(b, h, w, d)` whose average is one more descriptor, or None.

        Returns:
            `logits` `(b, k)`, for `indep` of several taps `level_logits` `(b, L, k)`, and for each tap
            `attention_<tap>` `(b, h, w)`.
        """
        descriptors, attention = {}, {}
        for tap, features in local.items():
            features, query = self._agree(features, queries[tap], tap, builder)
            features = self._normalize(features, tap)
            scores = CompatibilityScore(self.compat, name=f"scores_{tap}", **builder.init.score())
            descriptor, attention[f"attention_{tap}"] = AttentionPool(
                self.normalization, name=f"{POOL}{tap}"
            )(features, scores(features, query))
            if self.head == "paper":
                rate = PAPER_DROPOUT if self.dropout is None else self.dropout
                descriptor = builder.head(descriptor, f"head_{tap}", rate)
            descriptors[tap] = descriptor
        if averaged is not None:
            pool = layers.GlobalAveragePooling2D(data_format="channels_last", name=f"{POOL}{GLOBAL}")
            descriptors[GLOBAL] = pool(self._normalize(averaged, GLOBAL))
        return {**self._classify(descriptors, num_classes, builder), **attention}

    def _agree(self, features, query, tap: str, builder: Builder):
        """Local features and g with the same number of channels (section 3.1; `3_atten.lua`)."""
        if query is None:
            return features, None
        agree = features.shape[-1] == query.shape[-1]
        if self.project == "up":
            if agree:
                return features, query
            features = builder.conv(features, query.shape[-1], f"project_{tap}", size=1)
            return features, query if self.head == "linear" else builder.head(query, f"project_head_{tap}")
        if self.head == "paper":
            if agree:
                return features, query
            query = builder.head(query, f"project_head_{tap}")
        else:
            query = layers.BatchNormalization(**_BATCH_NORM, name=f"query_{tap}")(query)
        return features, builder.dense(query, features.shape[-1], f"project_{tap}")

    def _normalize(self, features, tap: str):
        """Local features of one size whatever the backbone, so that one learning rate fits all."""
        kind = self.local_norm or ("none" if self.head == "paper" else DEFAULT_LOCAL_NORM)
        if kind == "image":
            norm = layers.GroupNormalization(groups=1, axis=-1, epsilon=1e-6, name=f"local_{tap}")
        elif kind == "position":
            norm = layers.LayerNormalization(epsilon=1e-6, name=f"local_{tap}")
        elif kind == "channel":
            norm = layers.BatchNormalization(**_BATCH_NORM, name=f"local_{tap}")
        else:
            return features
        return norm(features)

    def _classify(self, descriptors: dict, num_classes: int, builder: Builder) -> dict:
        """Logits from the descriptors of all levels."""
        if len(descriptors) == 1:
            return {"logits": builder.classifier(*descriptors.values(), num_classes)}
        if self.aggregate == "concat":
            descriptor = layers.Concatenate(name="descriptor")(list(descriptors.values()))
            return {"logits": builder.classifier(descriptor, num_classes)}
        each = [builder.classifier(x, num_classes, f"classifier_{tap}") for tap, x in descriptors.items()]
        level_logits, logits = LevelEnsemble(name="ensemble")(each)
        return {"logits": logits, "level_logits": level_logits}


DEFAULT_LOCAL_NORM: LocalNorm = "image"
_ALLOWED = {
    "head": get_args(Head),
    "compat": COMPATIBILITIES,
    "normalization": NORMALIZATIONS,
    "local_norm": (None, *get_args(LocalNorm)),
    "aggregate": get_args(Aggregate),
    "project": get_args(Projection),
}
