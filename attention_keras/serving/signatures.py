"""What a served model answers: four signatures over one Keras model, everything inside the graph."""

import keras
import tensorflow as tf

from attention_keras.models.outputs import attention_maps
from attention_keras.serving.decode import decode_pictures


class ServedClassifier(tf.Module):
    """A Keras model as TF Serving sees it. Every input and output has the batch as its first axis.

    | signature | input | outputs |
    |---|---|---|
    | `serving_default` | `images` uint8 (b, H, W, 3) | `probabilities` (b, k), `attention_<tap>` (b, h, w) |
    | `classify` | `images` | `probabilities` |
    | `explain` | `images` | `probabilities`, maps (b, H, W), and `attention`, all maps combined |
    | `serve_bytes` | `image_bytes` string (b) | as `serving_default`, and `valid` bool (b) |

    `attention` is the geometric mean of the maps, each brought to image size and divided by its
    maximum: high where all levels agree. `serve_bytes` decodes JPEG, PNG, GIF and BMP, resizes with
    antialiasing, and answers a row it cannot decode with zero probabilities and `valid` false.

    Args:
        model: outputs `logits` and `attention_<tap>`; raw pixels in.
    """

    def __init__(self, model: keras.Model):
        super().__init__(name="served_classifier")
        self.image_shape = tuple(model.inputs[0].shape[1:])
        # A tf.Module saves what its attributes hold, and a Keras model holds its weights under names of
        # its own: only the variables are attributes, so that each is saved once.
        self.weights = [variable.value for variable in model.variables]
        self._predict = lambda images: model(images, training=False)
        # One function that the others call: the network is in the graph once, not once a signature.
        images = tf.TensorSpec((None, *self.image_shape), tf.uint8, name="images")
        self._answer = tf.function(self.serve).get_concrete_function(images)

    def signatures(self) -> dict:
        """Concrete functions by signature name."""
        images = tf.TensorSpec((None, *self.image_shape), tf.uint8, name="images")
        image_bytes = tf.TensorSpec((None,), tf.string, name="image_bytes")
        return {
            "serving_default": self._answer,
            "classify": tf.function(self.classify).get_concrete_function(images),
            "explain": tf.function(self.explain).get_concrete_function(images),
            "serve_bytes": tf.function(self.serve_bytes).get_concrete_function(image_bytes),
        }

    def serve(self, images):
        """Probabilities and attention maps."""
        rows = tf.shape(images)[0]
        # Convolution on the CPU gets the shape of an empty batch wrong: it is given one image, whose
        # answers are cut off again. (By concatenation: padding would lose the static shape.)
        filler = tf.zeros((tf.cast(tf.equal(rows, 0), tf.int32), *self.image_shape), tf.float32)
        images = tf.concat([tf.cast(images, tf.float32), filler], axis=0)
        outputs = self._predict(images)
        answers = {"probabilities": tf.nn.softmax(tf.cast(outputs["logits"], tf.float32))}
        answers |= {f"attention_{tap}": level for tap, level in attention_maps(outputs).items()}
        return {name: value[:rows] for name, value in answers.items()}

    def classify(self, images):
        """Probabilities alone; the maps are not computed where the classifier does not need them."""
        return {"probabilities": self._answer(images)["probabilities"]}

    def explain(self, images):
        """Maps at image size, and their combination."""
        outputs = dict(self._answer(images))
        answers = {"probabilities": outputs.pop("probabilities")}
        for name, level in outputs.items():
            answers[name] = tf.image.resize(level[..., None], self.image_shape[:2])[..., 0]
        if outputs:
            relative = [level / (_peak(level) + 1e-12) for level in answers.values() if len(level.shape) == 3]
            answers["attention"] = tf.exp(
                tf.add_n([tf.math.log(r + 1e-12) for r in relative]) / len(relative)
            )
        return answers

    def serve_bytes(self, image_bytes):
        """The same from image files of any size."""
        images, valid = decode_pictures(image_bytes, self.image_shape)
        outputs = dict(self._answer(images))
        outputs["probabilities"] *= tf.cast(valid, tf.float32)[:, None]
        return {**outputs, "valid": valid}


def _peak(level):
    return tf.reduce_max(level, axis=(1, 2), keepdims=True)
