"""What a config names and what must be there before anything heavy is imported."""

from pathlib import Path

from attention_keras.data.registry import find_dataset
from attention_keras.errors import UserError
from attention_keras.layers.choices import IMAGENET
from attention_keras.runs.config import RunConfig
from attention_keras.runs.filling import applications, meant_application


def check_inputs(config: RunConfig) -> None:
    """Raise UserError for a dataset, a network or a file that there is not."""
    if config.has_files:
        kind, _, path = config.dataset.partition(":")
        if kind == "folder" and not Path(path).is_dir():
            raise UserError(f"there is no folder {path}; give folder:PATH, with a folder of images per class")
        if kind == "table" and not Path(path).is_file():
            raise UserError(f"there is no table {path}; give table:FILE, such as table:photos.csv")
    elif not config.dataset.startswith("tfds:"):
        find_dataset(config.dataset)
    if (name := config.spec.application) and name not in (known := applications()) and known:
        meant = meant_application(name)
        hint = f"; perhaps you meant {meant}" if meant else ""
        raise UserError(f"keras.applications has no network {name!r}{hint}")
    weights = "" if config.weights == IMAGENET else config.weights
    for argument, needed in (
        ("backbone", config.spec.file),
        ("weights", weights),
        ("init_from", config.init_from),
    ):
        if needed and not Path(needed).exists():
            raise UserError(f"`{argument}`: there is no {needed}")
