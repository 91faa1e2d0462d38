"""From paths to subjects: the one place that reads run directories, their configs and labels, and cards."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from attention_keras.errors import UserError
from attention_keras.evaluation.subjects.predictor import KerasPredictor, Predictor, SavedModelPredictor
from attention_keras.evaluation.subjects.subject import Subject
from attention_keras.runs.config import RunConfig
from attention_keras.runs.directory import LABELS, Run
from attention_keras.runs.model_file import load_model
from attention_keras.serving.card import LABELS_FILE, read_card
from attention_keras.serving.versions import newest_version


def load_subjects(paths: Sequence[str]) -> list[Subject]:
    """Load every run; equal names are told apart by the folders above.

    Args:
        paths: run directories, `.keras` files, SavedModel directories.

    Raises:
        UserError: a path is no model, or given twice.
    """
    repeated = [path for path, count in Counter(str(Path(p).resolve()) for p in paths).items() if count > 1]
    if repeated:
        raise UserError(f"{repeated[0]} is given twice; give each run once")
    names = unique_names([Path(path).resolve() for path in paths])
    return [_load(name, Path(path)) for path, name in zip(paths, names)]


def _load(name: str, path: Path) -> Subject:
    predictor = load_predictor(path)
    if is_run(path):
        run = Run.open(path)
        return Subject(name, path, predictor, run.config, run.config.data_dir or None, run.files())
    config = (predictor.card or {}).get("config")
    return Subject(name, path, predictor, None if config is None else RunConfig.from_dict(config))


def load_predictor(path: str | Path) -> Predictor:
    """The predictor of a run directory, a `.keras` file, or a SavedModel (or the newest version under it).

    Raises:
        UserError: it is none of these, cannot be read, or has other classes than its labels name.
    """
    predictor = _open(Path(path))
    names = predictor.class_names
    if names is not None and len(names) != predictor.num_classes:
        raise UserError(
            f"{LABELS} of {path} has {len(names)} names, and its model tells {predictor.num_classes} classes "
            "apart; put back the one that belongs to it"
        )
    return predictor


def _open(path: Path) -> Predictor:
    if version := _saved_model(path):
        return SavedModelPredictor(version, _class_names(version / LABELS_FILE), read_card(version))
    if not path.is_dir():
        return KerasPredictor(load_model(path))
    run, names = Run(path), _class_names(path / LABELS)
    resize = run.config.resize_of_others if run.exists else RunConfig.resize
    return KerasPredictor(load_model(path), names, run.temperature, resize)


def is_run(path: Path) -> bool:
    """Whether the path is a run directory."""
    return Run(path).exists


def _saved_model(path: Path) -> Path | None:
    """The SavedModel at `path`, or the newest of the numbered versions under it."""
    if (path / "saved_model.pb").exists():
        return path
    return None if is_run(path) else newest_version(path)


def _class_names(path: Path) -> list[str] | None:
    """The lines of `labels.txt`, or None where there is no such file."""
    try:
        return path.read_text(encoding="utf-8").removesuffix("\n").split("\n") if path.exists() else None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}") from None


def unique_names(paths: Sequence[Path]) -> list[str]:
    """Short names of resolved paths that all differ.

    A run is named by its folder, a file by its name without the ending, an export by NAME/VERSION. Equal
    names get as many of the folders above as it takes to tell them apart.

    Example:
        >>> unique_names([Path("a/runs/demo"), Path("b/runs/demo"), Path("exports/demo/1")])
        ['a/runs/demo', 'b/runs/demo', 'demo/1']
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
