"""The options of each evaluation task: light dataclasses, so that `--help` imports no framework."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from attention_keras.errors import UserError
from attention_keras.runs.open_fields import Empty, Unset

FEW_IMAGES = 64
"""Test images of the tasks that compute for long on each image, unless `limit` says otherwise."""
FOLDER = "folder:"
_LARGEST_SEED = 2**31 - 1
_LEAST = {"batch_size": 1, "limit": 1, "panels": 0, "rows": 1, "steps": 1, "pgd_steps": 1, "pgd_restarts": 1}


@dataclass(frozen=True)
class CommonOptions:
    """What every task takes. A value that is not allowed raises UserError."""

    runs: Annotated[tuple[str, ...], Positional, arg(metavar="RUN [RUN ...]", help_behavior_hint="")]
    """Run directories, .keras files, or (for classification) SavedModel directories."""
    dataset: Unset[str] = None
    """Dataset with the test images (default: the one that the runs were trained on)."""
    data_dir: Unset[str] = None
    """Where TensorFlow Datasets keeps prepared data (default: as in training)."""
    batch_size: int = 128
    """Images at a time."""
    limit: Unset[int] = None
    """Use only the first N images (default: all; of faithfulness, robustness and query 64)."""
    seed: int = 0
    """Fixes random maps, noise, attacks and randomised weights."""
    output: Unset[str] = None
    """Where results go (default: RUN/evaluation; evaluation for several; for a file evaluation/NAME)."""

    def __post_init__(self):
        if not self.runs:
            raise UserError("no run given; runs takes one or more run directories")
        for name, least in _LEAST.items():
            value = getattr(self, name, None)
            if value is not None and value < least:
                raise UserError(f"{name} must be {least} or more; got {value}")
        if not 0 <= self.seed <= _LARGEST_SEED:
            raise UserError(f"seed must be from 0 to {_LARGEST_SEED}; got {self.seed}")
        # A folder that is not there is said before hours of work rather than after.
        for name in ("queries", "scenes", "masks", "targets"):
            given = getattr(self, name, None) or ()
            for place in (given,) if isinstance(given, str) else given:
                folder = place.removeprefix(FOLDER)
                names_folder = folder != place or name in ("queries", "scenes")
                if names_folder and not Path(folder).expanduser().is_dir():
                    raise UserError(f"{name}: there is no folder {folder}")


@dataclass(frozen=True)
class ClassificationOptions(CommonOptions):
    """Test error, confusion matrix, and whether attention points at the object."""

    panels: int = 18
    """Images of answers with attention; up to half of them show the most confident errors."""


@dataclass(frozen=True)
class MapsOptions(CommonOptions):
    """The paper's figure: the same images under every map of every run."""

    rows: int = 8
    """Images to show."""
    versus: Unset[str] = None
    """Add the evidence for the predicted class rather than for this one: a class, or `second` for the second
    most likely one."""


@dataclass(frozen=True)
class FaithfulnessOptions(CommonOptions):
    """Attention beside post-hoc explanations: which map shows what the network uses?"""

    steps: int = 16
    """Steps in which pixels are removed or shown."""
    maps: Empty[tuple[str, ...]] = ()
    """Kinds of maps to measure, such as attention evidence Grad-CAM random (default: all that a network has);
    Score-CAM and SmoothGrad take most of the time."""


@dataclass(frozen=True)
class SegmentationOptions(CommonOptions):
    """Attention as a segmentation that nobody trained for."""

    masks: Unset[str] = None
    """Images with masks: folder:PATH (masks in GroundTruth folders) or tfds:oxford_iiit_pet (default: the
    dataset's own)."""


@dataclass(frozen=True)
class RobustnessOptions(CommonOptions):
    """Accuracy and fooling rate under adversarial attacks and noise."""

    epsilons: tuple[float, ...] = (0, 1, 2, 4, 8, 16)
    """Largest changes of a pixel value, of 255."""
    pgd_steps: int = 10
    """Steps of projected gradient descent."""
    pgd_restarts: int = 2
    """Random starts of projected gradient descent."""

    def __post_init__(self):
        super().__post_init__()
        if not self.epsilons or not all(0 <= epsilon <= 255 for epsilon in self.epsilons):
            raise UserError(f"epsilons must be from 0 to 255, in pixel values; got {list(self.epsilons)}")


@dataclass(frozen=True)
class QueryOptions(CommonOptions):
    """Attention of one image under the global features of another."""

    queries: Unset[str] = None
    """Folder of images that ask (default: test images of different classes)."""
    scenes: Unset[str] = None
    """Folder of images that are asked (default: test images)."""


@dataclass(frozen=True)
class TransferOptions(CommonOptions):
    """Descriptors as features for other datasets, by a linear classifier."""

    targets: Empty[tuple[str, ...]] = ()
    """Datasets to carry the descriptors to, such as tfds:stl10 or folder:PATH (default: the runs' own)."""


TASKS: dict[str, type[CommonOptions]] = {
    "classification": ClassificationOptions,
    "maps": MapsOptions,
    "faithfulness": FaithfulnessOptions,
    "segmentation": SegmentationOptions,
    "robustness": RobustnessOptions,
    "query": QueryOptions,
    "transfer": TransferOptions,
}
"""The one list of tasks, in the order of the report: name -> options.

A task is carried out by the function `measure` in `attention_keras/evaluation/tasks/<name>.py`.
"""


@dataclass(frozen=True)
class AllOptions(*reversed(TASKS.values())):
    """Every task that applies to the runs, one after the other."""


def tasks_of(options: CommonOptions) -> list[str]:
    """Names of the tasks that `options` are for."""
    return [name for name, kind in TASKS.items() if isinstance(options, kind)]
