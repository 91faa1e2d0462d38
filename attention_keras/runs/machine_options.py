"""Options of the machine: where and how a run is carried out."""

import re
from dataclasses import dataclass
from typing import Literal, NoReturn

from attention_keras.errors import UserError
from attention_keras.runs.durations import Interval
from attention_keras.runs.field_types import check_types
from attention_keras.runs.open_fields import Unset

STRATEGIES = ("auto", "none", "mirrored", "multi_worker", "tpu")
REFUSED_STRATEGIES = {
    "parameter_server": "Keras 3 has no parameter-server training: fit cannot feed its workers",
    "central_storage": "Keras 3 reports wrong losses under it; mirrored computes the same",
}


@dataclass(frozen=True)
class MachineOptions:
    """Where and how the run is carried out. These may change when it is resumed."""

    data_dir: Unset[str] = None
    """Where TensorFlow Datasets keeps prepared data (default: TFDS_DATA_DIR or ~/tensorflow_datasets)."""
    stream: Literal["auto", "on", "off"] = "auto"
    """Decode pictures of a folder whenever they are needed, instead of once into arrays: auto does where the
    arrays of a split would be larger than 1 GB. The pixels are the same."""
    strategy: str = "auto"
    """tf.distribute: auto (mirrors over several GPUs), none, mirrored, multi_worker, tpu (untested)."""
    jit: Literal["auto", "on", "off"] = "auto"
    """XLA compilation: auto uses it on a single GPU only (on CPUs it is slower), and not on one of compute
    capability 12, where TensorFlow aborts in it."""
    checkpoint_every: int | str = 500
    """Steps between checkpoints, or minutes, as in 10min; one is always written at the end of an epoch."""
    keep: int = 2
    """Number of checkpoints kept."""
    panels: int = 8
    """Validation images whose attention goes to TensorBoard each epoch (0: none)."""
    run_dir: str = "runs"
    """Folder of all runs."""
    name: Unset[str] = None
    """Name of this run (default: dataset, model and seed, and what differs from their recipe); the same name
    resumes it."""
    restart: bool = False
    """Throw away an earlier run of this name."""
    calibrate: bool = True
    """Fit a temperature to the validation images, so that probabilities are as sure as they are right. It
    changes no prediction. Runs and exports apply it."""
    export: bool = True
    """Write a SavedModel when training is done."""
    export_dir: str = "saved_models"
    """Folder of all exports: `<export-dir>/<name>/<version>/`."""

    def __post_init__(self):
        check_types(self)
        if self.keep < 1:
            raise UserError(f"keep must be 1 or more; got {self.keep}")
        if self.panels < 0:
            raise UserError(f"panels must be 0 or more; got {self.panels}")
        if self.name is not None and not re.fullmatch(r"\w[\w.\- ]{0,199}", self.name):
            raise UserError(f"name must be letters, digits, '.', '_', '-' or spaces; got {self.name!r}")
        if self.strategy in REFUSED_STRATEGIES:
            raise UserError(f"strategy {self.strategy} is refused: {REFUSED_STRATEGIES[self.strategy]}")
        if self.strategy not in STRATEGIES:
            raise UserError(f"strategy must be one of {', '.join(STRATEGIES)}; got {self.strategy!r}")
        if self.jit == "on" and self.strategy not in ("auto", "none"):
            refuse_jit(self.strategy)
        self.checkpoint_interval()

    def checkpoint_interval(self) -> Interval:
        """When to save within an epoch.

        Raises:
            UserError: it is neither steps nor minutes, or minutes where workers must agree.
        """
        interval = Interval.parse(self.checkpoint_every)
        if interval.seconds and self.strategy == "multi_worker":
            raise UserError(
                "checkpoint_every in minutes does not work under multi_worker: all workers save at the same "
                "step, and their clocks differ; give steps, such as 500"
            )
        return interval


def refuse_jit(strategy: str) -> NoReturn:
    """Say why `jit` cannot be on under this strategy."""
    raise UserError(
        f"jit on does not work under strategy {strategy}: XLA cannot read variables of another "
        "device; choose jit auto, or strategy none"
    )
