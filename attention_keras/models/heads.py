"""What attend() puts on the taps of a network: the heads by name, the linear one, and the paper's.

A head is a small object with settings, called once: `outputs = head(local, g, num_classes)`. `local` is tap
-> local features `(b, h, w, c)`, in order. `g` is the map `(b, h, w, d)` whose average is the global feature
vector, or that vector `(b, d)` where it is no average of a map, or a mapping from taps to vectors, or None
where the backbone has several outputs. `outputs` has `logits`, `attention_<tap>`, and what else it gives. Of
the settings, `levels` is how many maps `"auto"` taps, and `global_features` what is g, if named.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from keras import layers

from attention_keras.errors import UserError
from attention_keras.layers.attention_pool import AttentionPool
from attention_keras.layers.choices import Compat, Normalization, check_choices
from attention_keras.layers.compatibility import CompatibilityScore
from attention_keras.layers.ensemble import LevelEnsemble
from attention_keras.layers.normalization import WarmBatchNormalization
from attention_keras.models.blocks import GLOBAL_FEATURES, POOL, Builder
from attention_keras.models.class_head import ClassHead
from attention_keras.models.outputs import ATTENTION, GLOBAL, LEVEL_LOGITS, LOGITS
from attention_keras.models.spec import AUTOMATIC_LEVELS, Aggregate, Init, LocalNorm, Projection

_BATCH_NORM = {"momentum": 0.9, "epsilon": 1e-5}


@dataclass(frozen=True)
class _DescriptorHead:
    """What the two heads below share: they score and attend to each tap, and classify descriptors."""

    score: Compat = "scaled"
    normalization: Normalization = "softmax"
    aggregate: Aggregate = "concat"
    project: Projection = "down"
    global_features: Any = None
    init: Init = "keras"
    levels: ClassVar[int] = AUTOMATIC_LEVELS

    def __post_init__(self):
        check_choices(self)

    def __call__(self, local: Mapping[str, Any], g: Any, num_classes: int) -> dict[str, Any]:
        builder, outputs, descriptors = Builder(init=self.init), {}, {}
        for tap, query in self._queries(local, g).items():
            features, query = self._agree(tap, local[tap], query, builder)
            score = CompatibilityScore(self.score, name=f"scores_{tap}", **builder.score())
            pool = AttentionPool(self.normalization, name=f"{POOL}{tap}")
            descriptor, outputs[ATTENTION + tap] = pool(features, score(features, query))
            descriptors[tap] = self._classified(tap, descriptor, builder)
        descriptors |= self._average(local, g)
        vectors = list(descriptors.values())
        if self.aggregate == "indep" and len(vectors) > 1:
            each = [builder.classifier(x, num_classes, f"classifier_{tap}") for tap, x in descriptors.items()]
            level_logits, logits = LevelEnsemble(name="ensemble")(each)
            return {LOGITS: logits, LEVEL_LOGITS: level_logits} | outputs
        descriptor = layers.Concatenate(name="descriptor")(vectors) if len(vectors) > 1 else vectors[0]
        return {LOGITS: builder.classifier(descriptor, num_classes)} | outputs

    def _queries(self, local: Mapping[str, Any], g: Any) -> dict[str, Any]:
        """For each tap the vector `(b, d)` that its local features are compared with, or None."""
        if self.score == "mean":
            return dict.fromkeys(local)
        if g is None:
            raise UserError(
                "the backbone has several outputs; say which is g with LinearHead(global_features=...)"
            )
        if isinstance(g, Mapping):
            if set(g) != set(local):
                raise UserError(
                    f"global_features has {', '.join(g)}; one g for each of {', '.join(local)} is needed"
                )
            return {tap: g[tap] for tap in local}
        if len(g.shape) == 4:
            g = layers.GlobalAveragePooling2D(data_format="channels_last", name=GLOBAL_FEATURES)(g)
        return dict.fromkeys(local, g)

    def _agree(self, tap: str, features, query, builder: Builder):
        """Features and query of one width."""
        raise NotImplementedError

    def _classified(self, tap: str, descriptor, builder: Builder):
        return descriptor

    def _average(self, local: Mapping[str, Any], g: Any) -> dict[str, Any]:
        """The descriptor that is no attention's, if any."""
        return {}


@dataclass(frozen=True)
class LinearHead(_DescriptorHead):
    """Scores, attention, descriptors, and one classifier that is linear in them.

    Local features are normalised; g is batch-normed and mapped to c channels by one linear layer a tap.
    Nothing stands between the descriptors and the classifier.

    Args:
        score: `scaled`, `dp`, `pc`, `additive` or `mean` (see CompatibilityScore).
        normalization: scores to attention, `softmax` or `sigmoid` (see AttentionPool).
        aggregate: `concat`: one classifier on all descriptors; `indep`: one for each, probabilities averaged.
        project: `down`: g is mapped to the c channels of a tap; `up`: the local features to the width d of g.
        global_features: g: the path of a layer, a tensor of the backbone's graph, or a mapping with one of
            these for each tap; None for the backbone's output, averaged over its map, or its class token.
        init: initial weights, as of `keras` or of the official code, `torch`.
        local_norm: local features are normalised over an `image`'s map, at each `position`, for each
            `channel` over the batch, or not at all, `none`. The first puts the least attention on empty
            background (docs/backbones.md).
        include_global: the average of the map that g is averaged from is one more descriptor, and evidence
            has that map as `evidence_global`. None does so where it can be done: with `concat`, where g is
            the average of a map. False lets the classifier see nothing but what is attended to.

    Raises:
        UserError: a value that is not allowed.

    Example:
        >>> LinearHead("dp", local_norm="none").score
        'dp'
    """

    local_norm: LocalNorm = "image"
    include_global: bool | None = None

    def _agree(self, tap, features, query, builder):
        if query is not None and self.project == "up" and features.shape[-1] != query.shape[-1]:
            features = builder.conv(features, query.shape[-1], f"project_{tap}", size=1)
        elif query is not None and self.project == "down":
            query = WarmBatchNormalization(**_BATCH_NORM, name=f"query_{tap}")(query)
            query = builder.dense(query, features.shape[-1], f"project_{tap}")
        return self._normalize(features, tap), query

    def _average(self, local, g):
        can_be_done = self.aggregate == "concat" and len(getattr(g, "shape", ())) == 4
        if self.include_global and not can_be_done:
            raise UserError("include_global=True needs aggregate='concat', and as g the average of one map")
        if self.include_global is False or not can_be_done:
            return {}
        if GLOBAL in local:
            raise UserError(f"{GLOBAL!r} is the name of the averaged map; call the tap otherwise")
        pool = layers.GlobalAveragePooling2D(data_format="channels_last", name=f"{POOL}{GLOBAL}")
        return {GLOBAL: pool(self._normalize(g, GLOBAL))}

    def _normalize(self, features, tap):
        """Local features of one size whatever the backbone, so that one learning rate fits all."""
        name = f"local_{tap}"
        if self.local_norm == "image":
            return layers.GroupNormalization(groups=1, axis=-1, epsilon=1e-6, name=name)(features)
        if self.local_norm == "position":
            return layers.LayerNormalization(epsilon=1e-6, name=name)(features)
        if self.local_norm == "channel":
            return WarmBatchNormalization(**_BATCH_NORM, name=name)(features)
        return features


@dataclass(frozen=True)
class PaperHead(_DescriptorHead):
    """The paper's: local features as they are; BN -> ReLU -> dropout between descriptors and classifier.

    g goes through the same before it is mapped to the width of a tap, where the widths differ. The arguments
    are those of `LinearHead` but the last two, and `dropout`, the rate before the classifier, 0 for none.

    Raises:
        UserError: a value that is not allowed.

    Example:
        >>> PaperHead("dp", aggregate="indep").dropout
        0.5
    """

    score: Compat = "pc"
    dropout: float = 0.5

    def _agree(self, tap, features, query, builder):
        if query is None or features.shape[-1] == query.shape[-1]:  # section 3.1; `3_atten.lua`
            return features, query
        active = builder.head(query, f"project_head_{tap}", 0.5 if self.dropout else 0)
        if self.project == "up":
            return builder.conv(features, query.shape[-1], f"project_{tap}", size=1), active
        return features, builder.dense(active, features.shape[-1], f"project_{tap}")

    def _classified(self, tap, descriptor, builder):
        return builder.head(descriptor, f"head_{tap}", self.dropout)


Head = ClassHead | LinearHead | PaperHead
HEADS: dict[str, type[Head]] = {"class": ClassHead, "linear": LinearHead, "paper": PaperHead}


def chosen_head(head: Head | str) -> Head:
    """A head, or the one of that name with its defaults."""
    if isinstance(head, str) and head in HEADS:
        return HEADS[head]()
    if isinstance(head, str | type) or not callable(head):
        known = ", ".join(repr(name) for name in HEADS)
        raise UserError(f"head must be one of {known}, or a head such as LinearHead('dp'); got {head!r}")
    return head
