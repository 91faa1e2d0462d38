"""What a served model answers: its signatures over one Keras model, everything inside the graph."""

import logging
from collections.abc import Callable, Mapping, Sequence

import keras
import tensorflow as tf

from attention_keras.data.geometry import Resize
from attention_keras.errors import UserError
from attention_keras.models.evidence import combine_evidence, evidence_model
from attention_keras.models.outputs import EVIDENCE, EVIDENCE_REST, attention_maps, evidence_maps
from attention_keras.serving.decode import decode_images

logger = logging.getLogger(__name__)


class ServedClassifier(tf.Module):
    """A Keras model as TensorFlow Serving sees it. The batch is the first axis of every input and output.

    | signature | input | outputs |
    |---|---|---|
    | `serving_default` | `images` uint8 (b, H, W, c) | `probabilities` (b, k), `attention_<tap>` (b, h, w) |
    | `classify` | `images` | `probabilities` |
    | `explain` | `images` | `probabilities`, attention (b, H, W), evidence for the predicted class |
    | `explain_class` | `images`, `classes` int32 (b) | `probabilities`, evidence for the class asked about |
    | `serve_bytes` | `image_bytes` string (b) | as `serving_default`, and `valid` bool (b) |
    | `describe` | `rows` int32 (b), any numbers | `class_names` string (b, k), `resize` string (b) |

    Of tags, `probabilities` come with `tags` bool (b, k), those that reach their thresholds, and `describe`
    has `thresholds` (b, k). Of a number, `probabilities` (b, 1) is the number, which `number` (b) is too.

    docs/serving.md says what the numbers mean. A network whose logits are no sum over positions (`vgg`) has
    no evidence: its `explain` gives probabilities and attention, and there is no `explain_class`.

    `serve_bytes` answers a row that it cannot decode with zero probabilities and `valid` false. There is none
    where the model takes images of any size, or of other than 1 or 3 channels.
    """

    def __init__(
        self,
        model: keras.Model,
        class_names: Sequence[str],
        probabilities: Callable = keras.activations.softmax,
        resize: Resize = "crop",
        activation: str = "softmax",
        thresholds: Sequence[float] | None = None,
        value_range: Sequence[float] | None = None,
    ):
        super().__init__(name="served_classifier")
        self.class_names, self.probabilities, self.resize = tuple(class_names), probabilities, resize
        self.activation, self.value_range = activation, value_range
        self.thresholds = tuple(thresholds or [0.5] * len(self.class_names))
        self.image_shape = tuple(model.inputs[0].shape[1:])
        # A tf.Module saves what its attributes hold, and a Keras model holds its weights under names of
        # its own: only the variables are attributes, so that each is saved once.
        self.weights = [variable.value for variable in model.variables]
        self._images = tf.TensorSpec((None, *self.image_shape), tf.uint8, name="images")
        self._classes = tf.TensorSpec((None,), tf.int32, name="classes")
        try:
            network = _with_evidence(model)
            self._predict = lambda images, classes: network([images, classes], training=False)
            self.has_evidence = True
        except UserError:
            self._predict = lambda images, classes: {"predicted": model(images, training=False), "asked": {}}
            self.has_evidence = False
        # One function that the others call: the network is in the graph once, not once a signature. What a
        # signature does not return, TensorFlow does not compute.
        self._answer = tf.function(self.answer).get_concrete_function(self._images, self._classes)

    def signatures(self) -> dict:
        """Concrete functions by signature name."""
        functions = {
            "serving_default": (self.serve, self._images),
            "classify": (self.classify, self._images),
            "explain": (self.explain, self._images),
            "describe": (self.describe, tf.TensorSpec((None,), tf.int32, name="rows")),
        }
        if self.has_evidence:
            functions["explain_class"] = (self.explain_class, self._images, self._classes)
        if None not in self.image_shape and self.image_shape[-1] in (1, 3):
            image_bytes = tf.TensorSpec((None,), tf.string, name="image_bytes")
            functions["serve_bytes"] = (self.serve_bytes, image_bytes)
        elif self.image_shape[-1] not in (1, 3):
            said = "the served model of %s channels takes pixels; it has no signature for image files"
            logger.warning(said, self.image_shape[-1])
        return {
            name: tf.function(function).get_concrete_function(*inputs)
            for name, (function, *inputs) in functions.items()
        }

    def answer(self, images, classes):
        """All that the network says: `served`, and the evidence for the `predicted` and the `asked` class."""
        rows, height, width = (tf.shape(images)[axis] for axis in range(3))
        # Convolution on the CPU gets the shape of an empty batch wrong: it is given one image, whose
        # answers are cut off again. (By concatenation: padding would lose the static shape.)
        one_if_empty = tf.cast(tf.equal(rows, 0), tf.int32)
        filler = tf.zeros((one_if_empty, height, width, self.image_shape[2]), tf.float32)
        images = tf.ensure_shape(
            tf.concat([tf.cast(images, tf.float32), filler], axis=0), (None, *self.image_shape)
        )
        classes = tf.concat([classes, tf.zeros((one_if_empty,), tf.int32)], axis=0)
        outputs = self._predict(images, classes)
        predicted = outputs["predicted"]
        logits = tf.cast(predicted["logits"], tf.float32)
        served = self._said(self.probabilities(logits))
        served |= {f"attention_{tap}": level for tap, level in attention_maps(predicted).items()}
        answers = {"served": served} | {asked: evidence_outputs(levels) for asked, levels in outputs.items()}
        return tf.nest.map_structure(lambda value: value[:rows], answers)

    def _said(self, probabilities) -> dict:
        """Probabilities, and what follows from them."""
        said = {"probabilities": probabilities}
        if self.activation == "sigmoid":
            said["tags"] = probabilities >= tf.constant(self.thresholds, tf.float32)
        if self.activation == "linear" and probabilities.shape[-1] == 1:
            said["number"] = probabilities[:, 0]
        return said

    def serve(self, images):
        """Probabilities and attention maps."""
        return self._without_class(images)["served"]

    def classify(self, images):
        """Probabilities alone; the maps are not computed where the classifier does not need them."""
        return self._said(self.serve(images)["probabilities"])

    def explain(self, images):
        """Maps at image size: attention, and evidence for the predicted class."""
        answers, size = self._without_class(images), self._size(images)
        served = dict(answers["served"])
        explained = self._said(served["probabilities"])
        served = {name: value for name, value in served.items() if name not in explained}
        attention = {name: tf.image.resize(level[..., None], size)[..., 0] for name, level in served.items()}
        if attention:
            peaks = [tf.reduce_max(level, axis=(1, 2), keepdims=True) for level in attention.values()]
            relative = [level / (peak + 1e-12) for level, peak in zip(attention.values(), peaks)]
            logarithms = [tf.math.log(level + 1e-12) for level in relative]
            attention["attention"] = tf.exp(tf.add_n(logarithms) / len(relative))
        return {**explained, **attention, **evidence_at_size(answers["predicted"], size)}

    def serve_with_evidence(self, images):
        """Of formats with one signature: as `serve`, and the evidence of `explain`."""
        answers = self._without_class(images)
        return {**answers["served"], **evidence_at_size(answers["predicted"], self._size(images))}

    def explain_class(self, images, classes):
        """Evidence at image size for the classes asked about."""
        answers = self._answer(images, classes)
        evidence = evidence_at_size(answers["asked"], self._size(images))
        return {**self._said(answers["served"]["probabilities"]), **evidence}

    def serve_bytes(self, image_bytes):
        """Probabilities and attention maps of image files of any size."""
        images, valid = decode_images(image_bytes, self.image_shape, self.resize, self.value_range)
        outputs = dict(self.serve(images))
        probabilities = outputs["probabilities"] * tf.cast(valid, tf.float32)[:, None]
        return {**outputs, **self._said(probabilities), "valid": valid}

    def describe(self, rows):
        """What a client needs to know to show answers, once for each row."""
        count = tf.shape(rows)[0]
        names = tf.ensure_shape(tf.tile([self.class_names], (count, 1)), (None, len(self.class_names)))
        said = {"class_names": names, "resize": tf.fill((count,), self.resize)}
        if self.activation == "sigmoid":
            said["thresholds"] = tf.tile(tf.constant([self.thresholds], tf.float32), (count, 1))
        if self.value_range:
            said["value_range"] = tf.tile(tf.constant([self.value_range], tf.float32), (count, 1))
        return said | {"activation": tf.fill((count,), self.activation)}

    def _without_class(self, images):
        return self._answer(images, tf.zeros(tf.shape(images)[:1], tf.int32))

    def _size(self, images):
        """Height and width of the images: numbers where the model has them, which LiteRT needs."""
        if None not in self.image_shape:
            return self.image_shape[:2]
        return tf.shape(images)[1], tf.shape(images)[2]


def _with_evidence(model: keras.Model) -> keras.Model:
    """[images, classes] -> the outputs of `evidence_model` for the `predicted` and the `asked` class.

    Both are graphs over the same layers, so one model of both holds the network once.
    """
    predicted, asked = evidence_model(model, "predicted"), evidence_model(model, "asked")
    return keras.Model(asked.inputs, {"predicted": predicted.output, "asked": asked.output})


def evidence_outputs(outputs: Mapping) -> dict:
    """The evidence among a model's outputs, and the rest as `(b,)`: of `(b, L)`, the sum over the levels."""
    found = {f"{EVIDENCE}{tap}": level for tap, level in evidence_maps(outputs).items()}
    if found:
        rest = outputs[EVIDENCE_REST]
        found[EVIDENCE_REST] = rest if len(rest.shape) == 1 else tf.reduce_sum(rest, axis=1)
    return found


def evidence_at_size(outputs: Mapping, size) -> dict:
    """Evidence `(b, H, W)`: of each tap, and their sum."""
    maps = {name: combine_evidence({name: level}, size) for name, level in evidence_maps(outputs).items()}
    if not maps:
        return {}
    levels = {f"{EVIDENCE}{tap}": level for tap, level in maps.items()}
    return {**levels, "evidence": tf.add_n(list(maps.values())), EVIDENCE_REST: outputs[EVIDENCE_REST]}
