"""Adversarial attacks on raw pixels: random noise, the fast gradient sign method, projected gradient descent.

The paper attacks with the fast gradient sign method (Goodfellow et al. 2015) only. One step along a gradient
is a weak attack: a network whose gradients are small or misleading survives it without being robust. Hence
projected gradient descent with restarts (Madry et al. 2018) beside it, and random noise as a control.
"""

import keras
import numpy as np
import tensorflow as tf

from attention_keras.evaluation.subjects.views import predict_batches
from attention_keras.explaining.batches import in_batches

ATTACKS = ("noise", "FGSM", "PGD")
PIXELS = (0.0, 255.0)


class Attacker:
    """Attacks on a network pixels -> logits `(b, k)`, with float32 pixels in [0, 255].

    `steps` and `restarts` are those of projected gradient descent; `seed` fixes noise and random starts.
    """

    def __init__(
        self,
        logits_model: keras.Model,
        *,
        steps: int = 10,
        restarts: int = 2,
        batch_size: int = 64,
        seed: int = 0,
    ):
        self._model = logits_model
        self.steps, self.restarts, self.batch_size, self.seed = steps, restarts, batch_size, seed
        self._gradient = tf.function(self._loss_gradient, reduce_retracing=True)

    def attack(self, name: str, images: np.ndarray, labels: np.ndarray, epsilon: float) -> np.ndarray:
        """Images led away from their labels by at most `epsilon` in every pixel value, within [0, 255]."""
        images = np.asarray(images, "float32")
        if epsilon == 0:
            return images.copy()
        generator = np.random.default_rng(self.seed)
        if name == "noise":
            signs = generator.choice([-1.0, 1.0], images.shape)
            return np.clip(images + epsilon * signs, *PIXELS).astype("float32")
        if name == "FGSM":
            return self._step(images, images, labels, epsilon, epsilon)
        return self._projected_gradient_descent(images, labels, epsilon, generator)

    def _projected_gradient_descent(self, images, labels, epsilon: float, generator) -> np.ndarray:
        """Of each image the first restart that fools the network, or the last one."""
        result = images
        fooled = np.zeros(len(images), bool)
        for _ in range(self.restarts):
            start = images + generator.uniform(-epsilon, epsilon, images.shape)
            changed = np.clip(start, *PIXELS).astype("float32")
            for _ in range(self.steps):
                changed = self._step(images, changed, labels, 2.5 * epsilon / self.steps, epsilon)
            result = np.where(fooled[:, None, None, None], result, changed)
            fooled |= self.predict(changed) != labels
        return result

    def _step(self, images, changed, labels, size: float, epsilon: float) -> np.ndarray:
        """A step along the sign of the gradient, and back to where changes are allowed."""
        moved = changed + size * np.sign(self._gradients(changed, labels))
        low, high = np.maximum(images - epsilon, PIXELS[0]), np.minimum(images + epsilon, PIXELS[1])
        return np.clip(moved, low, high).astype("float32")

    def _loss_gradient(self, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(images)
            logits = self._model(images, training=False)
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        return tape.gradient(loss, images)

    def _gradients(self, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
        labels = np.asarray(labels, "int32")

        def call(*batch: np.ndarray) -> np.ndarray:
            return self._gradient(*map(tf.constant, batch)).numpy()

        return in_batches(call, (images, labels), self.batch_size)

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Predicted class `(n,)`."""
        return self.logits(images).argmax(axis=-1)

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Logits `(n, k)`."""
        return predict_batches(self._model, images, self.batch_size)

    def zero_gradients(self, images: np.ndarray, labels: np.ndarray) -> float:
        """Share of images on which the gradient of the loss is 0 in every pixel."""
        gradients = self._gradients(np.asarray(images, "float32"), labels)
        return float(np.mean(~gradients.any(axis=(1, 2, 3))))
