"""The predictions of what can be evaluated: a Keras model (of a run or a file), or a SavedModel."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np

from attention_keras.data.geometry import Resize
from attention_keras.errors import UserError
from attention_keras.evaluation.subjects.views import map_batches
from attention_keras.models.classifier import probabilities_of
from attention_keras.models.evidence import combine_evidence, evidence_model, has_evidence
from attention_keras.models.outputs import ATTENTION, evidence_maps
from attention_keras.runs.directory import TEMPERATURE


class KerasPredictor:
    """Predictions of a Keras model with outputs `logits` and `attention_<tap>`.

    `temperature` is what the logits are divided by before the softmax, and `resize` how the model wants
    images of another shape. A SavedModel's card says both; here there is none.
    """

    card = None

    def __init__(
        self,
        model: keras.Model,
        class_names: list[str] | None = None,
        temperature: float = 1.0,
        resize: Resize = "crop",
    ):
        if not isinstance(model.output, dict) or "logits" not in model.output:
            raise UserError("the model has no output named logits; only models of this package are evaluated")
        self.model = model
        self.image_shape = tuple(model.inputs[0].shape[1:])
        self.num_classes = model.output["logits"].shape[-1]
        self.class_names, self.temperature, self.resize = class_names, temperature, resize
        self._to_probabilities = probabilities_of(model, temperature)

    def predict(self, images: np.ndarray, batch_size: int = 128) -> dict[str, np.ndarray]:
        """`probabilities` `(n, k)` and `attention_<tap>` `(n, h, w)` of uint8 images `(n, H, W, 3)`."""

        def call(batch):
            outputs = self.model.predict_on_batch(batch.astype("float32"))
            return {"probabilities": self._probabilities(outputs["logits"]), **_maps(outputs)}

        return map_batches(call, images, batch_size, progress=True)

    def explain(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """As `predict`, of one batch, and `evidence` `(b, H, W)` for the predicted class, if any."""
        if self._explained is None:
            return self.predict(images, len(images))
        outputs = self._explained.predict_on_batch(images.astype("float32"))
        evidence = combine_evidence(evidence_maps(outputs), images.shape[1:3])
        answer = {"probabilities": self._probabilities(outputs["logits"]), **_maps(outputs)}
        return answer | {"evidence": keras.ops.convert_to_numpy(evidence)}

    @cached_property
    def _explained(self) -> keras.Model | None:
        return evidence_model(self.model, of="predicted") if has_evidence(self.model) else None

    def _probabilities(self, logits: np.ndarray) -> np.ndarray:
        return keras.ops.convert_to_numpy(self._to_probabilities(logits))


class SavedModelPredictor:
    """The same of a SavedModel: its signature `serving_default` predicts, and its others explain.

    Its attention may be as large as the images.
    """

    def __init__(self, path: Path, card: dict[str, Any] | None = None):
        import tensorflow as tf

        try:
            self._loaded = tf.saved_model.load(str(path))
            self._function = self._loaded.signatures["serving_default"]
            self.image_shape = tuple(self._function.structured_input_signature[1]["images"].shape[1:])
            self.num_classes = self._function.structured_outputs["probabilities"].shape[-1]
        except (OSError, KeyError, ValueError, RuntimeError, tf.errors.OpError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UserError(f"cannot load the SavedModel {path}: {reason}") from None
        self.card = card or {}
        self.class_names = self.card.get("classes")
        # The graph has applied it already.
        self.temperature = float(self.card.get(TEMPERATURE, 1.0))
        self.resize = self.card.get("resize", "stretch")

    def predict(self, images, batch_size=128):
        def call(batch):
            outputs = {name: value.numpy() for name, value in sorted(self._function(images=batch).items())}
            return {"probabilities": outputs["probabilities"], **_maps(outputs)}

        return map_batches(call, images, batch_size, progress=True)

    def explain(self, images):
        function = self._loaded.signatures.get("explain", self._function)
        outputs = {name: value.numpy() for name, value in sorted(function(images=images).items())}
        return {name: outputs[name] for name in ("probabilities", "evidence") if name in outputs} | _maps(
            outputs
        )

    def evidence(
        self, images: np.ndarray, classes: Sequence[int], batch_size: int = 128
    ) -> np.ndarray | None:
        """Evidence for these classes, `(n, H, W)`; None where the model has none."""
        if "explain_class" not in self._loaded.signatures:
            return None
        function, classes = self._loaded.signatures["explain_class"], np.asarray(classes, "int32")

        def call(rows: np.ndarray):
            return function(images=np.asarray(images[rows]), classes=classes[rows])["evidence"].numpy()

        return map_batches(call, np.arange(len(images)), batch_size)


Predictor = KerasPredictor | SavedModelPredictor


def _maps(outputs: dict) -> dict:
    return {name: value for name, value in outputs.items() if name.startswith(ATTENTION)}
