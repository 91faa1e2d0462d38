"""One face for what can be evaluated: a run directory, a `.keras` file, or a SavedModel."""

import json
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from scipy.special import softmax

from attention_keras.errors import UserError
from attention_keras.evaluation.subjects.batches import map_batches
from attention_keras.runs.model_file import load_model


class Predictor(Protocol):
    """Predicts on pixels; `class_names` and `card` are None where the file does not hold them."""

    image_shape: tuple[int, int, int]
    num_classes: int
    class_names: list[str] | None
    card: dict[str, Any] | None

    def predict(self, images: np.ndarray, batch_size: int = 128) -> dict[str, np.ndarray]:
        """`probabilities` `(n, k)` and `attention_<tap>` `(n, h, w)` of uint8 images `(n, H, W, 3)`."""
        ...


class KerasPredictor:
    """Predictions of a Keras model with outputs `logits` and `attention_<tap>`."""

    card = None

    def __init__(self, model, class_names: list[str] | None = None):
        if not isinstance(model.output, dict) or "logits" not in model.output:
            raise UserError("the model has no output named logits; only models of this package are evaluated")
        self.model = model
        self.image_shape = tuple(model.inputs[0].shape[1:])
        self.num_classes = model.output["logits"].shape[-1]
        self.class_names = class_names

    def predict(self, images, batch_size=128):
        def call(batch):
            outputs = self.model.predict_on_batch(batch.astype("float32"))
            probabilities = softmax(outputs["logits"], axis=-1)
            return {"probabilities": probabilities, **_maps(outputs)}

        return map_batches(call, images, batch_size, progress=True)


class SavedModelPredictor:
    """Predictions of a SavedModel's `serving_default` signature."""

    def __init__(self, path: Path):
        import tensorflow as tf

        try:
            self._loaded = tf.saved_model.load(str(path))
            self._function = self._loaded.signatures["serving_default"]
            self.image_shape = tuple(self._function.structured_input_signature[1]["images"].shape[1:])
            self.num_classes = self._function.structured_outputs["probabilities"].shape[-1]
        except (OSError, KeyError, ValueError, RuntimeError, tf.errors.OpError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UserError(f"cannot load the SavedModel {path}: {reason}") from None
        self.class_names = _lines(path / "assets" / "labels.txt")
        card = path / "assets" / "model_card.json"
        try:
            self.card = json.loads(card.read_text(encoding="utf-8")) if card.exists() else None
        except (OSError, ValueError) as error:
            raise UserError(f"cannot read {card}: {error}") from None

    def predict(self, images, batch_size=128):
        def call(batch):
            outputs = {name: value.numpy() for name, value in sorted(self._function(images=batch).items())}
            return {"probabilities": outputs["probabilities"], **_maps(outputs)}

        return map_batches(call, images, batch_size, progress=True)


def load_predictor(path: str | Path) -> Predictor:
    """The predictor of a run directory, a `.keras` file, or a SavedModel (or the newest version under it).

    Raises:
        UserError: it is none of these, or cannot be read.
    """
    path = Path(path)
    if (path / "saved_model.pb").exists():
        return SavedModelPredictor(path)
    numbers = [p for p in path.iterdir() if p.name.isdecimal()] if path.is_dir() else []
    if numbers and not (path / "config.json").exists():
        return SavedModelPredictor(max(numbers, key=lambda p: int(p.name)))
    labels = _lines(path / "labels.txt") if path.is_dir() else None
    return KerasPredictor(load_model(path), labels)


def _maps(outputs: dict) -> dict:
    return {name: value for name, value in outputs.items() if name.startswith("attention_")}


def _lines(path: Path) -> list[str] | None:
    """The class names in `labels.txt`, or None where there is no such file."""
    try:
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}") from None
