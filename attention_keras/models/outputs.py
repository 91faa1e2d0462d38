"""What the outputs of a model are called."""

import math
from collections.abc import Mapping
from typing import Any

LOGITS = "logits"
PROBABILITIES = "probabilities"
LEVEL_LOGITS = "level_logits"
ATTENTION = "attention_"
EVIDENCE = "evidence_"
REST = "rest"  # what of a logit belongs to no place
EVIDENCE_REST = EVIDENCE + REST
GLOBAL = "global"  # the level whose map is averaged


def attention_maps(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """The attention maps among the outputs of a model or server, by tap, from early to late levels."""
    return _early_to_late(outputs, ATTENTION, slice(-2, None))


def evidence_maps(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """The evidence maps `(b, h, w)` or `(b, h, w, k)` among the outputs, by tap, from early to late."""
    places = {name: value for name, value in outputs.items() if name != EVIDENCE_REST}
    return _early_to_late(places, EVIDENCE, slice(1, 3))


def _early_to_late(outputs: Mapping[str, Any], prefix: str, sides: slice) -> dict[str, Any]:
    """The outputs with a prefix by what follows it: early levels have larger `sides`, the average is last."""
    maps = {name.removeprefix(prefix): value for name, value in outputs.items() if name.startswith(prefix)}
    size = {tap: math.prod(side or 0 for side in level.shape[sides]) for tap, level in maps.items()}
    return {tap: maps[tap] for tap in sorted(maps, key=lambda tap: (tap == GLOBAL, -size[tap]))}
