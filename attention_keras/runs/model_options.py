"""Options of the network."""

import math
from dataclasses import dataclass
from typing import Annotated

from tyro.conf import FlagConversionOff

from attention_keras.errors import UserError
from attention_keras.layers.choices import Compat, Normalization, Preprocessing
from attention_keras.models.spec import Aggregate, Globals, Init, Projection
from attention_keras.runs.field_types import check_types
from attention_keras.runs.open_fields import ByModel, ByRecipe, Empty


@dataclass(frozen=True)
class ModelOptions:
    """The network."""

    model: str = "vgg-att2-concat-pc"
    """A network of the paper by name (`attention-keras list-models`); the axes below change it."""
    backbone: ByModel[str] = None
    """vgg, rn164, or keras:<Application> such as keras:MobileNetV2 (then --taps is needed)."""
    levels: ByModel[int] = None
    """Number of attention taps, from the deepest up: 1, 2 or 3."""
    compat: ByModel[Compat] = None
    """Compatibility score: dp (dot product), pc (parametrised), additive (ours), mean (uniform control)."""
    aggregate: ByModel[Aggregate] = None
    """How levels are joined: concat (one classifier) or indep (one per level, probabilities averaged)."""
    normalization: ByModel[Normalization] = None
    """Scores to attention: softmax over the map, or sigmoid per position."""
    project: ByModel[Projection] = None
    """Where widths differ: map g down to the local features, or the local features up to g."""
    globals: ByModel[Globals] = None
    """One global feature vector shared by all levels, or one per_level."""
    taps: Empty[tuple[str, ...]] = ()
    """Layer names to attend to, on a keras:<Application> backbone."""
    width: ByRecipe[float] = None
    """Factor on every channel count; 1.0 is the paper's network."""
    dropout: Annotated[ByRecipe[bool], FlagConversionOff] = None
    """The official dropout, or none."""
    init: ByRecipe[Init] = None
    """Initialisers: torch as in the official code, or keras."""
    preprocess: ByRecipe[Preprocessing] = None
    """Pixel normalisation inside the model; statistics come from the training split."""
    init_from: Empty[str] = ""
    """Start from another run's weights: a run directory or .keras file; all layers but the classifier."""

    def __post_init__(self):
        check_types(self)
        if self.width is not None and not (math.isfinite(self.width) and self.width > 0):
            raise UserError(f"width must be a positive number; got {self.width}")
