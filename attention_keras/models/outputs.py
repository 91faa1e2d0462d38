"""What the outputs of a model are called."""

import math
from collections.abc import Mapping

import numpy as np


def attention_maps(outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The attention outputs of a model, `attention_<tap>` -> `<tap>`, from early to late levels.

    Early levels have the larger maps; outputs of a SavedModel or a server come in no order.
    """
    prefix = "attention_"
    maps = {name.removeprefix(prefix): value for name, value in outputs.items() if name.startswith(prefix)}
    return dict(sorted(maps.items(), key=lambda item: -math.prod(side or 0 for side in item[1].shape[-2:])))
