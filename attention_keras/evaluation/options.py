"""The options of each evaluation task: light dataclasses, so that `--help` imports no framework."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from attention_keras.errors import UserError

LARGEST_SEED = 2**31 - 1
FEW_IMAGES = 64
"""Test images of the tasks that compute for long on each image, unless `limit` says otherwise."""


def _unless_given(default: str, metavar: str) -> Any:
    """Mark an option whose value None stands for `default`, which the help text then names."""
    return arg(help_behavior_hint=f"(default: {default})", metavar=metavar)


@dataclass(frozen=True)
class CommonOptions:
    """What every task takes. A value that is not allowed raises UserError."""

    runs: Annotated[tuple[str, ...], Positional, arg(metavar="RUN [RUN ...]", help_behavior_hint="")]
    """Run directories, .keras files, or (for classification) SavedModel directories."""
    dataset: Annotated[str | None, _unless_given("the one that the runs were trained on", "NAME")] = None
    """Dataset with the test images."""
    data_dir: Annotated[str | None, _unless_given("as in training", "FOLDER")] = None
    """Where TensorFlow Datasets keeps prepared data."""
    batch_size: int = 128
    """Images at a time."""
    limit: Annotated[int | None, _unless_given("all", "N")] = None
    """Use only the first N images."""
    seed: int = 0
    """Fixes random maps, noise, attacks and randomised weights."""
    output: Annotated[
        str | None,
        _unless_given("RUN/evaluation; evaluation for several; evaluation/NAME for a file", "FOLDER"),
    ] = None
    """Folder for the results."""

    def __post_init__(self):
        if not self.runs:
            raise UserError("no run given; runs takes one or more run directories")
        self._at_least(1, "batch_size", "limit")
        if not 0 <= self.seed <= LARGEST_SEED:
            raise UserError(f"seed must be from 0 to {LARGEST_SEED}; got {self.seed}")

    def _at_least(self, least: int, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if value is not None and value < least:
                raise UserError(f"{name} must be {least} or more; got {value}")


@dataclass(frozen=True)
class ClassificationOptions(CommonOptions):
    """Test error, confusion matrix, and whether attention points at the object."""

    panels: int = 18
    """Images of answers with attention; up to half of them show the most confident errors."""

    def __post_init__(self):
        super().__post_init__()
        self._at_least(0, "panels")


@dataclass(frozen=True)
class MapsOptions(CommonOptions):
    """The paper's figure: the same images under every map of every run."""

    rows: int = 8
    """Images to show."""
    versus: Annotated[str | None, _unless_given("no column", "CLASS")] = None
    """Add the evidence for the predicted class rather than for this one: a class, or `second` for the second
    most likely one."""

    def __post_init__(self):
        super().__post_init__()
        self._at_least(1, "rows")


@dataclass(frozen=True)
class FaithfulnessOptions(CommonOptions):
    """Attention beside post-hoc explanations: which map shows what the network uses?"""

    limit: Annotated[int | None, _unless_given(f"{FEW_IMAGES}", "N")] = None
    """Use only the first N images."""
    steps: int = 16
    """Steps in which pixels are removed or shown."""
    maps: Annotated[tuple[str, ...], _unless_given("all that a network has", "KIND [KIND ...]")] = ()
    """Kinds of maps to measure, such as attention evidence Grad-CAM random; Score-CAM and SmoothGrad take
    most of the time."""

    def __post_init__(self):
        super().__post_init__()
        self._at_least(1, "steps")


@dataclass(frozen=True)
class SegmentationOptions(CommonOptions):
    """Attention as a segmentation that nobody trained for."""

    masks: Annotated[str | None, _unless_given("the masks of the dataset", "NAME")] = None
    """Images with masks: folder:PATH (masks in GroundTruth folders) or tfds:oxford_iiit_pet."""

    def __post_init__(self):
        super().__post_init__()
        _check_folders("masks", _folders_of([self.masks]))


@dataclass(frozen=True)
class RobustnessOptions(CommonOptions):
    """Accuracy and fooling rate under adversarial attacks and noise."""

    limit: Annotated[int | None, _unless_given(f"{FEW_IMAGES}", "N")] = None
    """Use only the first N images."""
    epsilons: tuple[float, ...] = (0, 1, 2, 4, 8, 16)
    """Largest changes of a pixel value, of 255."""
    pgd_steps: int = 10
    """Steps of projected gradient descent."""
    pgd_restarts: int = 2
    """Random starts of projected gradient descent."""

    def __post_init__(self):
        super().__post_init__()
        self._at_least(1, "pgd_steps", "pgd_restarts")
        if not self.epsilons or not all(0 <= epsilon <= 255 for epsilon in self.epsilons):
            raise UserError(f"epsilons must be from 0 to 255, in pixel values; got {list(self.epsilons)}")


@dataclass(frozen=True)
class QueryOptions(CommonOptions):
    """Attention of one image under the global features of another."""

    limit: Annotated[int | None, _unless_given(f"{FEW_IMAGES}", "N")] = None
    """Ask only the first N test images."""
    queries: Annotated[str | None, _unless_given("test images of different classes", "FOLDER")] = None
    """Folder of images that ask."""
    scenes: Annotated[str | None, _unless_given("test images", "FOLDER")] = None
    """Folder of images that are asked."""

    def __post_init__(self):
        super().__post_init__()
        _check_folders("queries", [self.queries])
        _check_folders("scenes", [self.scenes])


@dataclass(frozen=True)
class TransferOptions(CommonOptions):
    """Descriptors as features for other datasets, by a linear classifier."""

    targets: Annotated[tuple[str, ...], _unless_given("the runs' own dataset", "NAME [NAME ...]")] = ()
    """Datasets to carry the descriptors to, such as tfds:stl10 or folder:PATH."""

    def __post_init__(self):
        super().__post_init__()
        _check_folders("targets", _folders_of(self.targets))


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

    limit: Annotated[int | None, _unless_given("what each task takes alone", "N")] = None
    """Use only the first N images."""


def tasks_of(options: CommonOptions) -> list[str]:
    """Names of the tasks that `options` are for.

    Example:
        >>> tasks_of(MapsOptions(("runs/demo",)))
        ['maps']
        >>> tasks_of(AllOptions(("runs/demo",))) == list(TASKS)
        True
    """
    return [name for name, kind in TASKS.items() if isinstance(options, kind)]


def _folders_of(datasets: Sequence[str | None]) -> list[str]:
    return [name for name in datasets if name and name.startswith("folder:")]


def _check_folders(argument: str, folders: Sequence[str | None]) -> None:
    """Raise UserError for a folder that does not exist: before hours of work rather than after."""
    for name in folders:
        folder = name and name.removeprefix("folder:")
        if folder and not Path(folder).expanduser().is_dir():
            raise UserError(f"{argument}: there is no folder {folder}")
