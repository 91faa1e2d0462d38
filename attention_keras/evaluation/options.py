"""The options of each evaluation task: light dataclasses, so that `--help` imports no framework."""

from dataclasses import dataclass
from pathlib import Path

from attention_keras.errors import UserError
from attention_keras.runs.options import SEED, Rule, at_least, check_values, option

FEW_IMAGES = 64
"""Test images of the tasks that compute for long on each image, unless `limit` says otherwise."""
PIXEL_VALUES = Rule(lambda values: values and all(0 <= value <= 255 for value in values), "from 0 to 255")


@dataclass(frozen=True)
class CommonOptions:
    """What every task takes. A value that is not allowed raises UserError."""

    runs: tuple[str, ...] = option((), place="RUN [RUN ...]")
    """Run directories, .keras files, or (for classification) SavedModel directories."""
    dataset: str = option("", default="the one that the runs were trained on")
    """Dataset with the test images."""
    data_dir: str = option("", default="as in training")
    """Where TensorFlow Datasets keeps prepared data."""
    batch_size: int = option(128, rule=at_least(1))
    """Images at a time."""
    limit: int = option(0, default="all; of faithfulness, robustness and query 64", rule=at_least(0))
    """Use only the first N images."""
    seed: int = option(0, rule=SEED)
    """Fixes random maps, noise, attacks and randomised weights."""
    output: str = option("", default="RUN/evaluation; evaluation for several; for a file evaluation/NAME")
    """Where results go."""

    def __post_init__(self):
        if not self.runs:
            raise UserError("no run given; runs takes one or more run directories")
        check_values(self)
        # A folder that is not there is said before hours of work rather than after.
        for name in ("queries", "scenes", "masks", "targets"):
            given = getattr(self, name, ())
            for place in filter(None, (given,) if isinstance(given, str) else given):
                folder = place.removeprefix("folder:")
                of_folder = folder != place or name in ("queries", "scenes")
                if of_folder and not Path(folder).expanduser().is_dir():
                    raise UserError(f"{name}: there is no folder {folder}")


@dataclass(frozen=True)
class ClassificationOptions(CommonOptions):
    """Test error, confusion matrix, and whether attention points at the object."""

    panels: int = option(18, rule=at_least(0))
    """Images of answers with attention; up to half of them show the most confident errors."""


@dataclass(frozen=True)
class MapsOptions(CommonOptions):
    """The paper's figure: the same images under every map of every run."""

    rows: int = option(8, rule=at_least(1))
    """Images to show."""
    versus: str = option("")
    """Add the evidence for the predicted class rather than for this one: a class, or `second` for the second
    most likely one."""


@dataclass(frozen=True)
class FaithfulnessOptions(CommonOptions):
    """Attention beside post-hoc explanations: which map shows what the network uses?"""

    steps: int = option(16, rule=at_least(1))
    """Steps in which pixels are removed or shown."""
    maps: tuple[str, ...] = option((), default="all that a network has")
    """Kinds of maps to measure, such as attention evidence Grad-CAM random; Score-CAM and SmoothGrad take
    most of the time."""


@dataclass(frozen=True)
class SegmentationOptions(CommonOptions):
    """Attention as a segmentation that nobody trained for."""

    masks: str = option("", default="the dataset's own")
    """Images with masks: folder:PATH (masks in GroundTruth folders) or tfds:oxford_iiit_pet."""


@dataclass(frozen=True)
class RobustnessOptions(CommonOptions):
    """Accuracy and fooling rate under adversarial attacks and noise."""

    epsilons: tuple[float, ...] = option((0, 1, 2, 4, 8, 16), default="0 1 2 4 8 16", rule=PIXEL_VALUES)
    """Largest changes of a pixel value, of 255."""
    pgd_steps: int = option(10, rule=at_least(1))
    """Steps of projected gradient descent."""
    pgd_restarts: int = option(2, rule=at_least(1))
    """Random starts of projected gradient descent."""


@dataclass(frozen=True)
class QueryOptions(CommonOptions):
    """Attention of one image under the global features of another."""

    queries: str = option("", default="test images of different classes")
    """Folder of images that ask."""
    scenes: str = option("", default="test images")
    """Folder of images that are asked."""


@dataclass(frozen=True)
class TransferOptions(CommonOptions):
    """Descriptors as features for other datasets, by a linear classifier."""

    targets: tuple[str, ...] = option((), default="the runs' own")
    """Datasets to carry the descriptors to, such as tfds:stl10 or folder:PATH."""


TASKS: dict[str, type[CommonOptions]] = {
    "classification": ClassificationOptions,
    "maps": MapsOptions,
    "faithfulness": FaithfulnessOptions,
    "segmentation": SegmentationOptions,
    "robustness": RobustnessOptions,
    "query": QueryOptions,
    "transfer": TransferOptions,
}
"""All tasks in the order of the report. `measure` in `tasks/<name>.py` carries one out."""


@dataclass(frozen=True)
class AllOptions(*reversed(TASKS.values())):
    """Every task that applies to the runs, one after the other."""


def tasks_of(options: CommonOptions) -> list[str]:
    """Names of the tasks that `options` are for."""
    return [name for name, kind in TASKS.items() if isinstance(options, kind)]
