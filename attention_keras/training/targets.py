"""What the kind of labels decides in a training: the activation, the measure that chooses, the units."""

import dataclasses

import keras
import numpy as np

from attention_keras.data.labels import Kind
from attention_keras.data.pipeline import steps_per_epoch
from attention_keras.data.registry import parse_augment
from attention_keras.data.split import ImageDataset, Split
from attention_keras.errors import UserError
from attention_keras.models.classifier import Classifier
from attention_keras.models.outputs import LEVEL_LOGITS, LOGITS
from attention_keras.runs.config import RunConfig

ACTIVATIONS: dict[Kind, str] = {"single": "softmax", "multi": "sigmoid", "number": "linear"}
MEASURES: dict[Kind, str] = {"single": "accuracy", "multi": "mAP", "number": "R2"}
"""What a validation is judged by; more is better."""
WORDS: dict[Kind, str] = {"single": "classes", "multi": "tags", "number": "number"}


def check_fit(config: RunConfig, dataset: ImageDataset) -> None:
    """Refuse steps that do not fill an epoch, and for tags and numbers what is for one class each."""
    steps, at_once = steps_per_epoch(len(dataset.train), config.step_batch_size), config.steps_per_execution
    if steps % at_once:
        divisors = [d for d in range(1, min(steps, 100) + 1) if steps % d == 0]
        raise UserError(
            f"steps_per_execution must divide the {steps} steps of an epoch; "
            f"got {at_once}, allowed here: {', '.join(map(str, divisors))}"
        )
    kind = dataset.kind
    mixes = [name for name in parse_augment(config.augment).mixes if name != "cutout"]
    wrong = {
        f"augment {'+'.join(mixes)}": bool(mixes),
        "aggregate indep": config.spec.aggregate == "indep" and config.spec.levels > 1,
        "label_smoothing": kind == "number" and config.label_smoothing > 0,
        "balance": kind == "number" and config.balance,
        "init_from": bool(config.init_from),
        "tiles": bool(config.tiles),
    }
    found = next((what for what, given in wrong.items() if given), None)
    if kind != "single" and found:
        raise UserError(f"{found} is for images of one class each, and {dataset.name} has {WORDS[kind]}")


def metric_of(kind: Kind, num_classes: int) -> keras.metrics.Metric:
    """The measure of logits, by its name in `MEASURES`."""
    name = MEASURES[kind]
    if kind == "single":
        return keras.metrics.CategoricalAccuracy(name=name)
    if kind == "number":
        return keras.metrics.R2Score(name=name)
    options = {"multi_label": True, "num_labels": num_classes, "from_logits": True}
    return keras.metrics.AUC(curve="PR", name=name, **options)


@dataclasses.dataclass(frozen=True)
class Units:
    """Mean and deviation of the training images' numbers, which are trained as of mean 0 and deviation 1."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, dataset: ImageDataset) -> "Units | None":
        labels = np.asarray(dataset.train.labels, "float64")
        return cls(float(labels.mean()), float(labels.std()) or 1.0) if dataset.kind == "number" else None

    def scaled(self, split: Split) -> Split:
        labels = ((split.labels - self.mean) / self.deviation).astype("float32")
        return dataclasses.replace(split, labels=labels)

    def answering(self, model: Classifier) -> Classifier:
        """The model that answers in these units, where it was trained on scaled numbers."""
        rescale = keras.layers.Rescaling(self.deviation, self.mean, dtype="float32", name="units")
        outputs = {name: tensor for name, tensor in model.output.items() if name != LEVEL_LOGITS}
        return model.like(model.input, outputs | {LOGITS: rescale(outputs[LOGITS])})
