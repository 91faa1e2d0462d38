"""From paths to subjects: run directories, `.keras` files and SavedModels."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attention_keras.errors import UserError
from attention_keras.evaluation.subjects.predictor import KerasPredictor, Predictor, TiledPredictor
from attention_keras.evaluation.subjects.subject import Subject
from attention_keras.models.tiled import reads_tiles
from attention_keras.runs.config import RunConfig
from attention_keras.runs.directory import LABELS, Run
from attention_keras.runs.model_file import load_model
from attention_keras.serving.served_model import LoadedModel
from attention_keras.serving.versions import newest_version


def load_subjects(paths: Sequence[str]) -> list[Subject]:
    """Load every run, `.keras` file or SavedModel; equal names are told apart by the folders above."""
    repeated = [path for path, count in Counter(str(Path(p).resolve()) for p in paths).items() if count > 1]
    if repeated:
        raise UserError(f"{repeated[0]} is given twice; give each run once")
    names = unique_names([Path(path).resolve() for path in paths])
    return [_load(name, Path(path)) for path, name in zip(paths, names)]


def _load(name: str, path: Path) -> Subject:
    predictor = load_predictor(path)
    if run := run_of(path):
        return Subject(name, path, predictor, run.config, run.config.data_dir or None, run.files())
    return Subject(name, path, predictor, config_of(predictor.card or {}))


def config_of(card: Mapping[str, Any]) -> RunConfig | None:
    """The config on a card; None without one, or where another version of this package wrote it."""
    try:
        return RunConfig.from_dict(card["config"]) if "config" in card else None
    except UserError:
        return None


def load_predictor(path: str | Path) -> Predictor:
    """The predictor of a run directory, a `.keras` file, or a SavedModel (or the newest version under it).

    A `.keras` file in a run's folder has the class names, the temperature and the resizing of its run.
    """
    path = Path(path)
    run = run_of(path)
    if version := None if run else _saved_model(path):
        predictor: Predictor = LoadedModel(version)
    else:
        model, resize = load_model(path), "crop"
        if run:
            names = run.class_names() if (run.path / LABELS).exists() else None
            model.class_names, model.temperature = names, run.temperature
            resize = run.config.resize_of_others
        predictor = (TiledPredictor if reads_tiles(model) else KerasPredictor)(model, resize)
    names = predictor.class_names
    if names is not None and len(names) != predictor.num_classes:
        raise UserError(
            f"{LABELS} of {path} has {len(names)} names, and its model tells {predictor.num_classes} classes "
            "apart; put back the one that belongs to it"
        )
    return predictor


def run_of(path: Path) -> Run | None:
    """The run in this folder, or the one that this file is a model of."""
    if path.is_dir():
        run = Run(path)
        return run if run.exists else None
    run = Run(path.parent)
    return run if run.exists and path in (run.model, run.best_model) else None


def _saved_model(path: Path) -> Path | None:
    """The SavedModel at `path`, or the newest of the numbered versions under it."""
    return path if (path / "saved_model.pb").exists() else newest_version(path)


def unique_names(paths: Sequence[Path]) -> list[str]:
    """Short names of resolved paths that all differ.

    A run is named by its folder, a file by its name without the ending, an export by NAME/VERSION. Equal
    names get as many of the folders above as it takes to tell them apart.
    """
    parts = [(*path.parent.parts, path.stem if path.is_file() else path.name) for path in paths]
    lengths = [2 if path.name.isdecimal() else 1 for path in paths]
    while True:
        names = ["/".join(p[-length:]) for p, length in zip(parts, lengths)]
        doubles = {name for name, count in Counter(names).items() if count > 1}
        longer = [min(length + (name in doubles), len(p)) for p, length, name in zip(parts, lengths, names)]
        if longer == lengths:
            return names
        lengths = longer
