"""One model under test, with the forms of its network that tasks need."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import keras
import numpy as np

from attention_keras.data.membership import FileRecord
from attention_keras.errors import NotApplicable
from attention_keras.evaluation.subjects.predictor import KerasPredictor, Predictor
from attention_keras.evaluation.subjects.views import logits_view, probability_function
from attention_keras.explaining.explanation import Explanation
from attention_keras.models.copies import in_float32
from attention_keras.models.outputs import attention_maps
from attention_keras.models.parts import count_parameters
from attention_keras.runs.config import RunConfig


@dataclass(eq=False)
class Subject:
    """One model under test; its name is unique among the runs.

    Its predictor computes in the precision of training. Where they are known: the configuration it was
    `trained` with, the folder of TensorFlow Datasets, and of a run on image files what each was at its begin.
    """

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

    def explain(self, images: np.ndarray, classes: Sequence[int] | None = None) -> Explanation:
        """Evidence for these classes, in float32 where the layers can be seen."""
        return (self._exact if self.shows_layers else self.predictor).explain(images, classes)

    @cached_property
    def _exact(self) -> KerasPredictor:
        return KerasPredictor(self.model)

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

    @property
    def taps(self) -> list[str]:
        """Names of the attention taps, from early to late levels; none for a SavedModel."""
        return list(attention_maps(self.predictor.model.output)) if self.shows_layers else []

    def probabilities(self, images: np.ndarray, batch_size: int = 128) -> np.ndarray:
        """Class probabilities `(n, k)` of pixels `(n, h, w, 3)`, in float32."""
        return probability_function(self.logits_model, batch_size, self.predictor.temperature)(images)
