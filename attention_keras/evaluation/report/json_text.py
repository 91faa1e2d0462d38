"""Standard JSON of whatever a task measured."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from attention_keras.runs.durable import write_whole


def json_text(value: Any) -> str:
    """Indented JSON: arrays become lists, numbers that are not finite null.

    Example:
        >>> print(json_text({"map": np.array([1.0, np.nan])}), end="")
        {
          "map": [
            1.0,
            null
          ]
        }
    """
    return json.dumps(_plain(value), indent=2, allow_nan=False) + "\n"


def write_json(path: Path, value: Any) -> None:
    """`json_text`, whole or not there."""
    write_whole(path, json_text(value).encode())


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
