"""Options of the network."""

import math
from dataclasses import dataclass
from typing import Annotated

from tyro.conf import FlagConversionOff

from attention_keras.errors import UserError
from attention_keras.layers.choices import Compat, Normalization
from attention_keras.models.spec import APPLICATION, Aggregate, Globals, Head, Init, Projection
from attention_keras.runs.field_types import check_types
from attention_keras.runs.open_fields import ByModel, ByRecipe, Empty


@dataclass(frozen=True)
class ModelOptions:
    """The network."""

    model: str = "vgg-att2-concat-pc"
    """A network of the paper by name (`attention-keras list-models`); the axes below change it."""
    backbone: ByModel[str] = None
    """vgg, rn164, keras:<Application> such as keras:MobileNetV2, or a saved model, FILE.keras."""
    weights: Empty[str] = ""
    """Weights of a keras:<Application>: imagenet, or a file (.weights.h5, .h5, .keras) of the network without
    its top."""
    levels: ByModel[int] = None
    """Number of attention taps, from the deepest up: 1, 2 or 3."""
    compat: ByModel[Compat] = None
    """Score: dp (dot product), pc (parametrised), scaled (dp at unit variance), additive, mean (control)."""
    aggregate: ByModel[Aggregate] = None
    """How levels are joined: concat (one classifier) or indep (one per level, probabilities averaged)."""
    head: ByModel[Head] = None
    """After pooling: the paper's BN, ReLU, dropout; or linear, on local features normalised before it, and on
    a keras: or .keras backbone on the average of its top map too."""
    normalization: ByModel[Normalization] = None
    """Scores to attention: softmax over the map, or sigmoid per position."""
    project: ByModel[Projection] = None
    """Where widths differ: map g down to the local features, or the local features up to g."""
    globals: ByModel[Globals] = None
    """One global feature vector shared by all levels, or one per_level."""
    taps: Empty[tuple[str, ...]] = ()
    """Layer names to attend to on a keras: or .keras backbone (default: the last layers of its two deepest
    resolutions)."""
    width: ByRecipe[float] = None
    """Factor on every channel count; 1.0 is the paper's network."""
    dropout: Annotated[ByRecipe[bool], FlagConversionOff] = None
    """The official dropout, or none."""
    init: ByRecipe[Init] = None
    """Initialisers: torch as in the official code, or keras."""
    preprocess: ByRecipe[str] = None
    """Pixel normalisation inside the model: none, meanstd, yuv_lcn, gcn_zca (statistics of the training
    split). A keras: backbone has its own; for a .keras file also auto (its graph begins with it), raw,
    imagenet (ImageNet's mean and deviation), or an application's such as ResNet50."""
    init_from: Empty[str] = ""
    """Start from another run's weights: a run directory or .keras file. The classifier starts anew unless it
    is a run with the same classes."""

    def __post_init__(self):
        check_types(self)
        if self.weights and not (self.backbone or "").startswith(APPLICATION):
            raise UserError(
                "weights are for a backbone keras:<Application>; a .keras file brings its own, and vgg and "
                "rn164 start from another run with init_from"
            )
        if self.width is not None and not (math.isfinite(self.width) and self.width > 0):
            raise UserError(f"width must be a positive number; got {self.width}")
