"""The predictions of what can be evaluated: a Keras model (of a run or a file), or a SavedModel."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import keras
import numpy as np

from attention_keras.data.image_files import read_bands
from attention_keras.data.registry import Resize
from attention_keras.errors import UserError
from attention_keras.explaining.explain import PREDICTED, explain, in_batches
from attention_keras.explaining.explanation import Explanation
from attention_keras.explaining.large import LargeExplanation, explain_large
from attention_keras.models.classifier import probabilities_of
from attention_keras.models.evidence import has_evidence
from attention_keras.models.outputs import ATTENTION, LOGITS, PROBABILITIES
from attention_keras.models.tiled import TiledModel
from attention_keras.progress import Bar
from attention_keras.serving.served_model import LoadedModel


class KerasPredictor:
    """Predictions of a Keras model with outputs `logits` and `attention_<tap>`; `resize` is its images'."""

    card = None

    def __init__(self, model: keras.Model, resize: Resize = "crop"):
        if not isinstance(model.output, dict) or LOGITS not in model.output:
            raise UserError("the model has no output named logits; only models of this package are evaluated")
        self.model, self.resize = model, resize
        self.image_shape = tuple(model.inputs[0].shape[1:])
        self.num_classes = model.output[LOGITS].shape[-1]
        names = getattr(model, "class_names", None)
        self.class_names = None if names is None else list(names)
        self.temperature = getattr(model, "temperature", 1.0)
        self.activation = getattr(model, "activation", "softmax")
        self.thresholds = getattr(model, "thresholds", None)
        self.value_range = getattr(model, "value_range", None)
        self._activate = probabilities_of(model, self.temperature)

    def _probabilities(self, logits) -> np.ndarray:
        return keras.ops.convert_to_numpy(self._activate(logits))

    def predict(self, images: np.ndarray, batch_size: int = 128) -> dict[str, np.ndarray]:
        """`probabilities` `(n, k)` and `attention_<tap>` `(n, h, w)` of uint8 images `(n, H, W, 3)`."""

        def call(batch):
            outputs = self.model.predict_on_batch(batch.astype("float32"))
            maps = {name: value for name, value in outputs.items() if name.startswith(ATTENTION)}
            return {PROBABILITIES: self._probabilities(outputs[LOGITS])} | maps

        return in_batches(call, images, batch_size, progress=True)

    def explain(self, images: np.ndarray, classes: Sequence[int] | None = None) -> Explanation:
        """`explain` of these classes, by default of the predicted; without evidence where there is none."""
        if self._has_evidence:
            return explain(self.model, images, PREDICTED if classes is None else list(classes))
        outputs = self.predict(images, len(images))
        probabilities = outputs[PROBABILITIES]
        asked = probabilities.argmax(-1) if classes is None else np.asarray(classes)
        return Explanation.of_outputs(
            images, probabilities, outputs, self.class_names, asked, activation=self.activation
        )

    @cached_property
    def _has_evidence(self) -> bool:
        return has_evidence(self.model)


class TiledPredictor(KerasPredictor):
    """The same of a model that reads image files in tiles, each of its own size (`ImageRows`)."""

    def __init__(self, model: keras.Model, resize: Resize = "crop"):
        super().__init__(model, resize)
        self._tiles = TiledModel(model)

    def predict(self, images, batch_size=128):
        rows = Bar(range(len(images)), unit=" images")
        found = [self._tiles.answer(images.bands(row, self._tiles.side)).logits for row in rows]
        return {PROBABILITIES: self._probabilities(np.stack(found))}

    def probabilities_of_file(self, path: Path) -> np.ndarray:
        """`(k,)`; raises UnreadableImage."""
        return self._probabilities(self._tiles.answer(read_bands(path, self._tiles.side)).logits)

    def explain_file(self, path: Path) -> LargeExplanation:
        """Of the predicted class; raises UnreadableImage."""
        names = self.class_names or map(str, range(self.num_classes))
        return explain_large(self._tiles, self.model, path, names)


Predictor = KerasPredictor | LoadedModel
