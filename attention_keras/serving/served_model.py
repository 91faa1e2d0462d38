"""What an export answers, wherever it runs: in this process, or behind a server's REST (`remote.py`)."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from attention_keras.data.geometry import Resize
from attention_keras.errors import UserError
from attention_keras.explaining.batches import in_batches
from attention_keras.explaining.explanation import Explanation
from attention_keras.models.outputs import ATTENTION, PROBABILITIES
from attention_keras.runs.directory import TEMPERATURE
from attention_keras.serving.card import read_card


class ServedModel(ABC):
    """A model by the signatures of its export; the graph has applied the temperature already."""

    batch = 128
    temperature: float | list[float] = 1.0
    card: dict[str, Any] | None = None
    image_shape: tuple[int | None, ...]
    num_classes: int
    class_names: list[str] | None = None
    activation = "softmax"
    thresholds: list[float] | None = None
    value_range: list[float] | None = None
    resize: Resize
    signatures: Collection[str]

    @abstractmethod
    def call(self, signature: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs of a signature for one batch, by name."""

    def predict(self, images: np.ndarray, batch_size: int | None = None) -> dict[str, np.ndarray]:
        """`probabilities` `(n, k)` and `attention_<tap>` `(n, h, w)` of uint8 images `(n, H, W, c)`."""
        return self._batches("serving_default", (PROBABILITIES, ATTENTION), images=images, size=batch_size)

    def explain(self, images: np.ndarray, classes: Sequence[int] | None = None) -> Explanation:
        """Evidence for these classes, by default for the predicted; without evidence where there is none."""
        # The signatures that explain have attention at the size of the image only.
        outputs = self.predict(images)
        if classes is not None and "explain_class" in self.signatures:
            asked = np.asarray(classes, "int32")
            outputs |= self._batches("explain_class", "evidence", images=images, classes=asked)
        elif classes is None and "explain" in self.signatures:
            outputs |= self._batches("explain", "evidence", images=images)
        probabilities = outputs[PROBABILITIES]
        asked = probabilities.argmax(-1) if classes is None else np.asarray(classes)
        return Explanation.of_outputs(
            np.asarray(images), probabilities, outputs, self.class_names, asked, activation=self.activation
        )

    def _batches(self, signature: str, wanted: str | tuple[str, ...], size: int | None = None, **inputs):
        def call(*batch):
            outputs = self.call(signature, **dict(zip(inputs, batch)))
            return {name: value for name, value in outputs.items() if name.startswith(wanted)}

        return in_batches(call, tuple(inputs.values()), min(size or self.batch, self.batch), progress=True)


class LoadedModel(ServedModel):
    """The SavedModel at a path, loaded into this process."""

    def __init__(self, path: Path):
        import tensorflow as tf

        self.card = read_card(path)
        try:
            self._loaded = tf.saved_model.load(str(path))
            function = self._loaded.signatures["serving_default"]
            self.image_shape = tuple(function.structured_input_signature[1]["images"].shape[1:])
            self.num_classes = function.structured_outputs[PROBABILITIES].shape[-1]
        except (OSError, KeyError, ValueError, RuntimeError, tf.errors.OpError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UserError(f"cannot load the SavedModel {path}: {reason}") from None
        self.signatures = set(self._loaded.signatures)
        self.class_names = self.card.get("classes")
        self.temperature = self.card.get(TEMPERATURE, 1.0)
        self.activation = self.card.get("activation", "softmax")
        self.thresholds, self.value_range = self.card.get("thresholds"), self.card.get("value_range")
        self.resize = self.card.get("resize", "stretch")

    def call(self, signature, **inputs):
        import tensorflow as tf

        tensors = {name: tf.constant(value) for name, value in inputs.items()}
        outputs = self._loaded.signatures[signature](**tensors)
        return {name: value.numpy() for name, value in sorted(outputs.items())}
