"""What a served model answers: its signatures over one Keras model, everything inside the graph."""

from collections.abc import Callable, Mapping, Sequence

import keras
import tensorflow as tf

from attention_keras.data.images import to_size
from attention_keras.data.registry import Resize
from attention_keras.models.evidence import combine_evidence, evidence_model, has_evidence
from attention_keras.models.outputs import ATTENTION, EVIDENCE, EVIDENCE_REST, evidence_maps

FOLLOWING = ("tags", "number")
"""Outputs that are made of the probabilities."""
PARALLEL = 4


class ServedClassifier(tf.Module):
    """A Keras model as TensorFlow Serving sees it; docs/serving.md has the table of its signatures.

    A network whose logits are no sum over positions (`vgg`) has no `explain_class`, and its `explain` no
    evidence. Models of images of any size, or of other than 1 or 3 channels, have no `serve_bytes`.
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
        self.images = tf.TensorSpec((None, *self.image_shape), tf.uint8, name="images")
        self.classes = tf.TensorSpec((None,), tf.int32, name="classes")
        self.has_evidence = has_evidence(model)
        if self.has_evidence:
            # Both are graphs over the same layers, so one model of both holds the network once.
            predicted, asked = evidence_model(model, "predicted"), evidence_model(model, "asked")
            network = keras.Model(asked.inputs, {"predicted": predicted.output, "asked": asked.output})
            self._call = lambda images, classes: network([images, classes], training=False)
        else:
            self._call = lambda images, classes: {"predicted": model(images, training=False), "asked": {}}
        # One function that the others call: the network is in the graph once, not once a signature. What a
        # signature does not return, TensorFlow does not compute.
        self._answer = tf.function(self.answer).get_concrete_function(self.images, self.classes)

    def signatures(self) -> dict:
        """Concrete functions by signature name."""
        functions = {
            "serving_default": (self.serve, self.images),
            "classify": (self.classify, self.images),
            "explain": (self.explain, self.images),
            "describe": (self.describe, tf.TensorSpec((None,), tf.int32, name="rows")),
        }
        if self.has_evidence:
            functions["explain_class"] = (self.explain_class, self.images, self.classes)
        if self.image_shape[-1] in (1, 3) and None not in self.image_shape:
            files = tf.TensorSpec((None,), tf.string, name="image_bytes")
            functions["serve_bytes"] = (self.serve_bytes, files)
        return {
            name: tf.function(function).get_concrete_function(*inputs)
            for name, (function, *inputs) in functions.items()
        }

    def answer(self, images, classes):
        """All that the network says: `served`, and the evidence for the `predicted` and the `asked` class."""
        rows, size = tf.shape(images)[0], self._size(images)
        # Convolution on the CPU gets the shape of an empty batch wrong: it is given one image, whose
        # answers are cut off again. (By concatenation: padding would lose the static shape.)
        one_if_empty = tf.cast(rows == 0, tf.int32)
        filler = tf.zeros((one_if_empty, *size, self.image_shape[2]), tf.float32)
        images = tf.concat([tf.cast(images, tf.float32), filler], axis=0)
        images = tf.ensure_shape(images, (None, *self.image_shape))
        classes = tf.concat([classes, tf.zeros((one_if_empty,), tf.int32)], axis=0)
        outputs = self._call(images, classes)
        logits = tf.cast(outputs["predicted"]["logits"], tf.float32)
        maps = {name: m for name, m in outputs["predicted"].items() if name.startswith(ATTENTION)}
        answers = {"served": self._said(self.probabilities(logits)) | maps}
        answers |= {kind: evidence_at_size(levels, size) for kind, levels in outputs.items()}
        return tf.nest.map_structure(lambda value: value[:rows], answers)

    def _said(self, probabilities) -> dict:
        """Probabilities, and what follows from them."""
        said = {"probabilities": probabilities}
        if self.activation == "sigmoid":
            said["tags"] = probabilities >= tf.constant(self.thresholds, tf.float32)
        if self.activation == "linear" and probabilities.shape[-1] == 1:
            said["number"] = probabilities[:, 0]
        return said

    def _size(self, images):
        """Height and width of the images: numbers where the model has them, which LiteRT needs."""
        if None not in self.image_shape:
            return self.image_shape[:2]
        return tf.shape(images)[1], tf.shape(images)[2]

    def _without_class(self, images):
        return self._answer(images, tf.zeros(tf.shape(images)[:1], tf.int32))

    def serve(self, images):
        """Probabilities and attention maps."""
        return self._without_class(images)["served"]

    def classify(self, images):
        """Probabilities alone; the maps are not computed where the classifier does not need them."""
        return self._said(self.serve(images)["probabilities"])

    def explain(self, images):
        """Maps at image size: attention, and evidence for the predicted class."""
        answers, size = self._without_class(images), self._size(images)
        maps = {name: level for name, level in answers["served"].items() if name.startswith(ATTENTION)}
        attention = {name: tf.image.resize(level[..., None], size)[..., 0] for name, level in maps.items()}
        if attention:
            levels = tf.stack(list(attention.values()))
            relative = levels / (tf.reduce_max(levels, axis=(2, 3), keepdims=True) + 1e-12)
            attention["attention"] = tf.exp(tf.reduce_mean(tf.math.log(relative + 1e-12), axis=0))
        return self._said(answers["served"]["probabilities"]) | attention | answers["predicted"]

    def serve_with_evidence(self, images):
        """Of formats with one signature: as `serve`, and the evidence of `explain`."""
        answers = self._without_class(images)
        return {**answers["served"], **answers["predicted"]}

    def explain_class(self, images, classes):
        """Evidence at image size for the classes asked about."""
        answers = self._answer(images, classes)
        return self._said(answers["served"]["probabilities"]) | answers["asked"]

    def serve_bytes(self, image_bytes):
        """Probabilities and attention maps of image files of any size; zeros of what is no image."""
        images, valid = decode_images(image_bytes, self.image_shape, self.resize, self.value_range)
        outputs = dict(self.serve(images))
        probabilities = outputs["probabilities"] * tf.cast(valid, tf.float32)[:, None]
        return {**outputs, **self._said(probabilities), "valid": valid}

    def describe(self, rows):
        """What a client needs to know to show answers, once for each row."""
        facts = {"class_names": self.class_names, "resize": self.resize, "activation": self.activation}
        if self.activation == "sigmoid":
            facts["thresholds"] = self.thresholds
        if self.value_range:
            facts["value_range"] = tuple(self.value_range)
        values = {name: tf.constant(fact) for name, fact in facts.items()}
        return {name: tf.broadcast_to(v, (tf.shape(rows)[0], *v.shape)) for name, v in values.items()}


def evidence_at_size(outputs: Mapping, size) -> dict:
    """Evidence `(b, H, W)` of each tap and their sum, and the rest `(b,)`: of `(b, L)` their sum."""
    levels = evidence_maps(outputs).items()
    maps = {EVIDENCE + tap: combine_evidence({tap: level}, size) for tap, level in levels}
    if not maps:
        return {}
    rest = outputs[EVIDENCE_REST]
    rest = rest if len(rest.shape) == 1 else tf.reduce_sum(rest, axis=1)
    return maps | {"evidence": tf.add_n(list(maps.values())), EVIDENCE_REST: rest}


def decode_images(
    image_bytes, image_shape: tuple[int, int, int], resize: Resize, values: Sequence[float] | None = None
):
    """Pixels of a batch of image files, uint8 `(b, H, W, c)`, and which of them are images, bool `(b)`.

    Of a PNG of 16 bits `values` become 0 and 255, where they are given. What cannot be decoded is black:
    TensorFlow has no try, but a tf.data pipeline can leave out elements that fail. So the files go through
    one, numbered, after a blank element, because a batch must not be empty.
    """

    def read(number, content):
        # The bits of a PNG stand at this place of its header.
        is_deep = tf.strings.substr(content, 24, 1) == b"\x10"
        is_deep &= tf.strings.substr(content, 1, 3) == b"PNG"
        image = tf.cond(is_deep, lambda: deep(content), lambda: plain(content)) if values else plain(content)
        image = tf.ensure_shape(image, (None, None, image_shape[-1]))
        return number, to_size(image, image_shape[:2], resize)

    def deep(content):
        low, high = values
        pixels = tf.cast(tf.io.decode_png(content, image_shape[-1], tf.uint16), tf.float32)
        levels = (pixels - low) * tf.constant(255 / (high - low), tf.float32)
        return tf.cast(tf.round(tf.clip_by_value(levels, 0.0, 255.0)), tf.uint8)

    def plain(content):
        return tf.cond(
            tf.io.is_jpeg(content),
            # As Pillow decodes it; TensorFlow's default is up to six levels of grey away.
            lambda: tf.io.decode_jpeg(content, image_shape[-1], dct_method="INTEGER_ACCURATE"),
            lambda: tf.io.decode_image(content, channels=image_shape[-1], expand_animations=False),
        )

    rows = tf.shape(image_bytes)[0]
    files = tf.data.Dataset.from_tensor_slices((tf.range(rows), image_bytes))
    decoded = files.map(read, num_parallel_calls=PARALLEL).ignore_errors()
    blank = tf.data.Dataset.from_tensors((rows, tf.zeros(image_shape, tf.uint8)))
    batch = blank.concatenate(decoded).batch(tf.cast(rows, tf.int64) + 1)
    numbers, pixels = batch.get_single_element()
    images = tf.scatter_nd(numbers[:, None], pixels, tf.stack([rows + 1, *image_shape]))[:rows]
    valid = tf.scatter_nd(numbers[:, None], tf.ones_like(numbers), [rows + 1])[:rows] > 0
    return tf.ensure_shape(images, (None, *image_shape)), valid
