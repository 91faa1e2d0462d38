"""The runs under test: loaded once, named for tables, with the views of the network that tasks need."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import keras
import numpy as np
from scipy.special import softmax

from attention_keras.errors import NotApplicable, UserError
from attention_keras.evaluation.subjects.batches import predict_batches
from attention_keras.evaluation.subjects.predictor import KerasPredictor, Predictor, load_predictor
from attention_keras.layers.attention_pool import AttentionPool
from attention_keras.runs.options import TrainConfig

# Where Grad-CAM and its kin look when there is no attention: the end of the last stage.
_LAST_STAGE = ("conv13", "stage3")


@dataclass(eq=False)
class Subject:
    """One model under test.

    Attributes:
        name: for tables and figures, unique among the runs.
        path: as given.
        predictor: predicts in the precision of training.
        trained: its training configuration, where it is known.
    """

    name: str
    path: Path
    predictor: Predictor
    trained: TrainConfig | None

    @cached_property
    def model(self) -> keras.Model:
        """The Keras model computing in float32, for gradients and small differences.

        Raises:
            UserError: it is a SavedModel, whose layers cannot be seen.
        """
        if not isinstance(self.predictor, KerasPredictor):
            raise NotApplicable(
                f"{self.path} is a SavedModel, good for --task classification only; give the run directory"
            )
        return in_float32(self.predictor.model)

    @cached_property
    def logits_model(self) -> keras.Model:
        """images -> logits `(b, k)`."""
        return keras.Model(self.model.input, self.model.output["logits"])

    @property
    def kind(self) -> str:
        """The network's name, such as `vgg-att2-concat-dp`."""
        if self.trained:
            return self.trained.model
        return self.predictor.model.name if isinstance(self.predictor, KerasPredictor) else "SavedModel"

    def probabilities(self, images: np.ndarray, batch_size: int = 128) -> np.ndarray:
        """Class probabilities `(n, k)` of pixels `(n, h, w, 3)`, in float32."""
        return probability_function(self.logits_model, batch_size)(images)


def load_subjects(paths: Sequence[str]) -> list[Subject]:
    """Load every run; equal names are told apart by the folders above.

    Raises:
        UserError: a path is no model, or given twice.
    """
    repeated = [path for path, count in Counter(str(Path(p).resolve()) for p in paths).items() if count > 1]
    if repeated:
        raise UserError(f"{repeated[0]} is given twice; give each run once")
    names = _names([Path(path).resolve() for path in paths])
    subjects = []
    for path, name in zip(map(Path, paths), names):
        predictor = load_predictor(path)
        trained = TrainConfig.load(path) if (path / "config.json").exists() else None
        if trained is None and "config" in (predictor.card or {}):
            trained = TrainConfig.from_dict(predictor.card["config"])
        subjects.append(Subject(name, path, predictor, trained))
    return subjects


def _names(paths: Sequence[Path]) -> list[str]:
    """A run's folder, a file without its ending, NAME/VERSION of an export; and so much above it that
    all names differ."""
    parts = [(*path.parent.parts, path.stem if path.is_file() else path.name) for path in paths]
    lengths = [2 if path.name.isdecimal() else 1 for path in paths]
    while True:
        names = ["/".join(p[-length:]) for p, length in zip(parts, lengths)]
        doubles = {name for name, count in Counter(names).items() if count > 1}
        longer = [min(length + (name in doubles), len(p)) for p, length, name in zip(parts, lengths, names)]
        if longer == lengths:
            return names
        lengths = longer


def in_float32(model: keras.Model) -> keras.Model:
    """The same network computing in float32; itself if it does already.

    Mixed precision rounds gradients to eight bits, and in half precision small changes of a pixel vanish.
    """
    if all(layer.compute_dtype == "float32" for layer in model.layers if layer.weights):
        return model

    def clone(layer):
        # Some applications have bare operations in their graphs, which have no type of their own.
        dtype = {"dtype": "float32"} if isinstance(layer, keras.layers.Layer) else {}
        return layer.__class__.from_config({**layer.get_config(), **dtype})

    copy = keras.models.clone_model(model, clone_function=clone)
    copy.set_weights(model.get_weights())
    return copy


def probability_function(
    logits_model: keras.Model, batch_size: int = 128
) -> Callable[[np.ndarray], np.ndarray]:
    """Pixels `(n, h, w, 3)` to probabilities `(n, k)`, any n, `batch_size` at a time."""

    def predict(images: np.ndarray) -> np.ndarray:
        return softmax(predict_batches(logits_model, images, batch_size).astype("float64"), axis=-1)

    return predict


def explained_layer(model: keras.Model) -> str:
    """Name of the layer whose map post-hoc methods explain: the deepest local features.

    That is the map under the deepest attention; without attention the end of the last stage (`conv13`,
    `stage3`), else the last layer with a map of more than one position.
    """
    pools = [layer for layer in model.layers if isinstance(layer, AttentionPool)]
    if pools:
        # The order of a graph's layers is not their depth; the deepest level has the smallest map.
        deepest = min(reversed(pools), key=lambda pool: math.prod(pool.input[0].shape[1:3]))
        return deepest.input[0]._keras_history.operation.name
    names = [layer.name for layer in model.layers]
    for name in _LAST_STAGE:
        if name in names:
            return name
    maps = [
        layer.name
        for layer in model.layers
        if len(getattr(layer.output, "shape", ())) == 4 and max(layer.output.shape[1:3]) > 1
    ]
    if not maps:
        raise UserError(f"{model.name} has no feature map to explain")
    return maps[-1]
