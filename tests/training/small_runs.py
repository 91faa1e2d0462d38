"""A run of seconds, and its history."""

import json
from pathlib import Path
from typing import Any

from attention_keras.runs.config import RunConfig

EPOCHS, STEPS = 3, 5
SMALL_RUN = RunConfig(
    limit=75,  # 5 steps of 16, the last one of 11
    batch_size=16,
    epochs=EPOCHS,
    dropout=True,
    augment="flip",
    precision="float32",
    checkpoint_every=2,
    name="run",
)


def read_history(path: Path) -> list[dict[str, Any]]:
    """What a run's folder says of each epoch, but for how long it took."""
    lines = [json.loads(line) for line in (path / "history.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("time", "images_per_second")} for line in lines]
