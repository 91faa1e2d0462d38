"""From paths to models under test: run directories, `.keras` files and SavedModels."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import keras
import numpy as np

from attention_keras.data.registry import FileRecord
from attention_keras.errors import NotApplicable, UserError
from attention_keras.evaluation.subjects.predictor import KerasPredictor, Predictor, TiledPredictor
from attention_keras.evaluation.subjects.views import evidence_in_batches, logits_view, softmax_batches
from attention_keras.explaining.explanation import Explanation
from attention_keras.models.copies import in_float32
from attention_keras.models.parts import count_parameters
from attention_keras.models.tiled import reads_tiles
from attention_keras.runs.config import RunConfig
from attention_keras.runs.directory import LABELS, Run
from attention_keras.runs.model_file import load_model
from attention_keras.serving.served_model import LoadedModel
from attention_keras.serving.versions import newest_version


@dataclass(eq=False)
class Subject:
    """One model under test, by a name that no other has. Its predictor computes in the precision of training;
    `data_dir` is of TensorFlow Datasets, and `files` are the image files as they were when it was trained."""

    name: str
    path: Path
    predictor: Predictor
    trained: RunConfig | None
    data_dir: str | None = None
    files: Mapping[str, FileRecord] | None = None

    @property
    def shows_layers(self) -> bool:
        """Whether the layers can be seen: not those of a SavedModel."""
        return isinstance(self.predictor, KerasPredictor)

    @cached_property
    def model(self) -> keras.Model:
        """The Keras model computing in float32, for gradients and small differences."""
        if not self.shows_layers:
            raise NotApplicable(
                f"{self.path} is a SavedModel, good for classification only; give the run directory"
            )
        return in_float32(self.predictor.model)

    @cached_property
    def logits_model(self) -> keras.Model:
        """images -> logits `(b, k)`."""
        return logits_view(self.model)

    @cached_property
    def explain(self) -> Callable[[np.ndarray, Sequence[int]], Explanation]:
        """Evidence of images for classes, in float32 where the layers can be seen."""
        return (KerasPredictor(self.model) if self.shows_layers else self.predictor).explain

    def total_evidence(self, images: np.ndarray, classes: Sequence[int], size: int) -> np.ndarray | None:
        """Of all taps, `size` images at once: `(n, H, W)`; of one tap `(n, h, w)`; None without evidence."""
        maps = evidence_in_batches(self.explain, images, classes, size)
        return list(maps.values())[-1] if maps else None

    @property
    def kind(self) -> str:
        """The network's name, such as `vgg-att2-concat-dp`."""
        if self.trained:
            return self.trained.model
        return self.predictor.model.name if self.shows_layers else "SavedModel"

    @property
    def parameters(self) -> tuple[int | None, int | None]:
        """Trainable parameters, and all; of a SavedModel what its card says."""
        if self.shows_layers:
            return count_parameters(self.predictor.model), self.predictor.model.count_params()
        return None, self.predictor.card.get("parameters")

    def probabilities(self, images: np.ndarray, batch_size: int = 128) -> np.ndarray:
        """Class probabilities `(n, k)` of pixels `(n, h, w, 3)`, in float32."""
        return softmax_batches(self.logits_model, images, batch_size, self.predictor.temperature)


def load_subjects(paths: Sequence[str]) -> list[Subject]:
    """Load every run, `.keras` file or SavedModel; equal names are told apart by the folders above."""
    resolved = [Path(path).resolve() for path in paths]
    if repeated := [path for path, count in Counter(resolved).items() if count > 1]:
        raise UserError(f"{repeated[0]} is given twice; give each run once")
    return [_load(name, Path(path)) for path, name in zip(paths, _unique_names(resolved))]


def _load(name: str, path: Path) -> Subject:
    predictor = load_predictor(path)
    if run := run_of(path):
        return Subject(name, path, predictor, run.config, run.config.data_dir or None, run.files())
    try:
        config = (predictor.card or {}).get("config")
        trained = None if config is None else RunConfig.from_dict(config)
    except UserError:  # another version of this package wrote the card
        trained = None
    return Subject(name, path, predictor, trained)


def load_predictor(path: str | Path) -> Predictor:
    """The predictor of a run directory, a `.keras` file, or a SavedModel (or the newest version under it).

    A `.keras` file in a run's folder has the class names, the temperature and the resizing of its run.
    """
    path = Path(path)
    run = run_of(path)
    exported = path if (path / "saved_model.pb").exists() else newest_version(path)
    if exported and not run:
        predictor: Predictor = LoadedModel(exported)
    else:
        model, resize = load_model(path), "crop"
        if run:
            model.class_names = run.class_names() if (run.path / LABELS).exists() else None
            model.temperature, resize = run.temperature, run.config.resize_of_others
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
    run = Run(path if path.is_dir() else path.parent)
    return run if run.exists and (path.is_dir() or path in (run.model, run.best_model)) else None


def _unique_names(paths: Sequence[Path]) -> list[str]:
    """Folder of a run, stem of a file, NAME/VERSION of an export; and folders above until all differ."""
    parts = [(*path.parent.parts, path.stem if path.is_file() else path.name) for path in paths]
    lengths = [2 if path.name.isdecimal() else 1 for path in paths]
    for above in range(max(map(len, parts))):
        names = ["/".join(p[-length - above :]) for p, length in zip(parts, lengths)]
        if len(set(names)) == len(names):
            break
    return names
