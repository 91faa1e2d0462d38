"""The options of evaluate.py."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from attention_keras.errors import UserError

Task = Literal[
    "classification", "maps", "robustness", "transfer", "segmentation", "query", "faithfulness", "all"
]
TASKS = ("classification", "maps", "faithfulness", "segmentation", "robustness", "query", "transfer")


@dataclass(frozen=True)
class EvaluateConfig:
    """What to evaluate, on which images, and where the results go."""

    runs: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN [RUN ...]")]
    """Run directories, .keras files, or (for classification) SavedModel directories."""
    task: Task = "classification"
    """Which experiment; docs/experiments.md describes each."""
    dataset: str | None = None
    """Dataset (default: the one the model was trained on, where the run or its card says so)."""
    data_dir: str | None = None
    """Where TensorFlow Datasets keeps prepared data (default: as in training)."""
    batch_size: int = 128
    """Images at a time."""
    limit: int | None = None
    """Use only the first N images (default: 64 for robustness and faithfulness, all for the others)."""
    seed: int = 0
    """Fixes random maps, noise, attacks and randomised weights."""
    panels: int = 16
    """classification: number of attention panels to draw."""
    output: str | None = None
    """Folder for the results (default: evaluation/ in a single run or in the current folder for several,
    <model>-evaluation beside a file)."""

    rows: int = 8
    """maps: number of images."""
    shared_scale: bool = False
    """maps: one colour scale for all maps of a model, instead of one for each map."""
    steps: int = 16
    """faithfulness: steps in which pixels are removed or shown."""
    epsilons: tuple[float, ...] = (0, 1, 2, 4, 8, 16)
    """robustness: largest change of a pixel value, of 255."""
    pgd_steps: int = 10
    """robustness: steps of projected gradient descent."""
    pgd_restarts: int = 2
    """robustness: random starts of projected gradient descent."""
    masks: str | None = None
    """segmentation: folder:PATH (images, and masks in GroundTruth folders) or tfds:oxford_iiit_pet (default:
    the masks of the dataset)."""
    queries: str | None = None
    """query: folder of images that ask (default: test images of different classes)."""
    scenes: str | None = None
    """query: folder of images that are asked (default: test images)."""
    targets: tuple[str, ...] = ()
    """transfer: datasets to carry the descriptors to, such as tfds:stl10 or folder:PATH."""

    def __post_init__(self):
        if not self.runs:
            raise UserError("no run given; type python evaluate.py RUN, where RUN is a run directory")
        counts = ("batch_size", "limit", "rows", "steps", "pgd_steps", "pgd_restarts")
        for name, least in [*((name, 1) for name in counts), ("panels", 0)]:
            value = getattr(self, name)
            if value is not None and value < least:
                raise UserError(f"{name} must be {least} or more; got {value}")
        if not 0 <= self.seed < 2**31:
            raise UserError(f"seed must be from 0 to 2147483647; got {self.seed}")
        if not self.epsilons or not all(0 <= epsilon <= 255 for epsilon in self.epsilons):
            raise UserError(f"epsilons must be from 0 to 255, in pixel values; got {list(self.epsilons)}")
        self._check_folders()

    def _check_folders(self):
        """That they exist, before hours of work rather than after."""
        folders = [("queries", self.queries), ("scenes", self.scenes)]
        datasets = [("masks", self.masks), *(("targets", target) for target in self.targets)]
        folders += [(name, value) for name, value in datasets if value and value.startswith("folder:")]
        for name, value in folders:
            folder = value and value.removeprefix("folder:")
            if folder and not Path(folder).expanduser().is_dir():
                raise UserError(f"{name}: there is no folder {folder}")

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks to run, in order."""
        return TASKS if self.task == "all" else (self.task,)
