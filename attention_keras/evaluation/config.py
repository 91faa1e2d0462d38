"""The options of evaluate.py."""

from dataclasses import dataclass

import tyro

from attention_keras.errors import UserError


@dataclass(frozen=True)
class EvaluateConfig:
    """What to evaluate, on which images, and where the results go."""

    model: tyro.conf.Positional[str]
    """A run directory, a .keras file, or a SavedModel directory."""
    dataset: str | None = None
    """Dataset (default: the one the model was trained on, where the run or its card says so)."""
    data_dir: str | None = None
    """Where TensorFlow Datasets keeps prepared data (default: as in training)."""
    batch_size: int = 128
    """Images at a time."""
    limit: int | None = None
    """Use only the first N test images (for a try)."""
    panels: int = 16
    """Number of attention panels to draw."""
    output: str | None = None
    """Folder for the results (default: evaluation/ in the run, or <model>-evaluation beside the file)."""

    def __post_init__(self):
        for name in ("batch_size", "limit"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"{name} must be 1 or more; got {value}")
        if self.panels < 0:
            raise UserError(f"panels must be 0 or more; got {self.panels}")
