"""What the outputs of a model are called."""

import math
from collections.abc import Mapping
from typing import Any

LOGITS = "logits"
LEVEL_LOGITS = "level_logits"
ATTENTION = "attention_"


def attention_maps(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """The attention outputs of a model, `attention_<tap>` -> `<tap>`, from early to late levels.

    Early levels have the larger maps; outputs of a SavedModel or a server come in no order.

    Args:
        outputs: of a model or a server; arrays, tensors or symbolic tensors.
    """
    maps = {
        name.removeprefix(ATTENTION): value for name, value in outputs.items() if name.startswith(ATTENTION)
    }
    return dict(sorted(maps.items(), key=lambda item: -math.prod(side or 0 for side in item[1].shape[-2:])))
