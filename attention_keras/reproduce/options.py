"""The options of `attention-keras reproduce`."""

from dataclasses import dataclass

from tyro.conf import Positional

from attention_keras.errors import UserError
from attention_keras.reproduce.experiments import TABLES, Experiment, Measure
from attention_keras.runs.config import RunConfig
from attention_keras.runs.open_fields import Empty, Unset


@dataclass(frozen=True)
class ReproduceOptions:
    """Which table, how many seeds, and how the work is spread."""

    table: Positional[Unset[str]] = None
    """Name of the table (without it: the list of them)."""
    seeds: int = 3
    """Runs of each row, with seeds 0, 1, ..."""
    models: Empty[tuple[str, ...]] = ()
    """Rows of the table to run, or networks of any name (default: the table's rows)."""
    measures: Unset[tuple[Measure, ...]] = None
    """What to measure on each run beside its test error (default: the table's; alone: nothing)."""
    images: Unset[int] = None
    """Test images for these measures (default: the table's)."""
    jobs: int = 1
    """Runs at a time. On a CPU they share the cores, and two narrow networks at a time get further."""
    width: Unset[float] = None
    """Factor on every channel count, in place of the table's."""
    epochs: Unset[int] = None
    """Passes over the training split, in place of the table's."""
    limit: Unset[int] = None
    """Use only the first N training images and N/5 test images (for a try)."""
    data_dir: Unset[str] = None
    """Where TensorFlow Datasets keeps prepared data (default: TFDS_DATA_DIR or ~/tensorflow_datasets)."""
    run_dir: Unset[str] = None
    """Folder of the runs and of the table made from them (default: runs/TABLE)."""

    def __post_init__(self):
        if self.table is not None and self.table not in TABLES:
            raise UserError(f"unknown table {self.table!r}; allowed: {', '.join(TABLES)}")
        for name in ("seeds", "images", "jobs"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"{name} must be 1 or more; got {value}")

    @property
    def experiment(self) -> Experiment:
        """The table asked for."""
        return TABLES[self.table]

    @property
    def folder(self) -> str:
        """Where the runs are."""
        return self.run_dir or f"runs/{self.table}"

    @property
    def rows(self) -> tuple[str, ...]:
        """Names of the rows."""
        return self.models or self.experiment.models

    @property
    def tasks(self) -> tuple[Measure, ...]:
        """What is measured on each run."""
        return self.experiment.measures if self.measures is None else self.measures

    @property
    def test_images(self) -> int:
        """How many test images the tasks take."""
        return self.images or self.experiment.images

    def run_options(self, model: str, seed: int) -> RunConfig:
        """The run of one row and seed."""
        changes = {name: getattr(self, name) for name in ("width", "epochs", "limit", "data_dir")}
        return self.experiment.options(model, seed, run_dir=self.folder, **changes)

    def runs(self) -> list[RunConfig]:
        """Every run, the first seed of all rows first, so that an unfinished table says most.

        Raises:
            UserError: a network that there is not.
        """
        return [self.run_options(model, seed) for seed in range(self.seeds) for model in self.rows]
