"""Adversarial attacks on raw pixels: random noise, the fast gradient sign method, projected gradient descent.

The paper attacks with the fast gradient sign method (Goodfellow et al. 2015) only. One step along a gradient
is a weak attack: a network whose gradients are small or misleading survives it without being robust. Hence
projected gradient descent with restarts (Madry et al. 2018) beside it, and random noise as a control.
"""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from attention_keras.evaluation.subjects.views import predict_batches
from attention_keras.explaining.explain import in_batches

ATTACKS = ("noise", "FGSM", "PGD")
PIXELS = (0.0, 255.0)


class Attacker:
    """Attacks on a network pixels -> logits `(b, k)`, with float32 pixels in [0, 255].

    `steps` and `restarts` are those of projected gradient descent; `seed` fixes noise and random starts.
    """

    def __init__(
        self, logits_model: keras.Model, *, steps: int, restarts: int, batch_size: int = 64, seed: int = 0
    ):
        self._model = logits_model
        self.steps, self.restarts, self.batch_size, self.seed = steps, restarts, batch_size, seed
        self._gradient = tf.function(self._loss_gradient, reduce_retracing=True)

    def attack(self, name: str, images: np.ndarray, labels: np.ndarray, epsilon: float) -> np.ndarray:
        """Images led away from their labels by at most `epsilon` in every pixel value, within [0, 255]."""
        if epsilon == 0:
            return images
        generator = np.random.default_rng(self.seed)
        if name == "noise":
            signs = generator.choice([-1.0, 1.0], images.shape)
            return np.clip(images + epsilon * signs, *PIXELS).astype("float32")
        if name == "FGSM":
            return self._step(images, images, labels, epsilon, epsilon)
        # Of each image the first restart that fools the network, or the last one.
        result, fooled = images, np.zeros(len(images), bool)
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
        def call(*batch: np.ndarray) -> np.ndarray:
            return self._gradient(*map(tf.constant, batch)).numpy()

        return in_batches(call, (images, np.asarray(labels, "int32")), self.batch_size)

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Predicted class `(n,)`."""
        return predict_batches(self._model, images, self.batch_size).argmax(axis=-1)

    def zero_gradients(self, images: np.ndarray, labels: np.ndarray) -> float:
        """Share of images on which the gradient of the loss is 0 in every pixel."""
        return float(np.mean(~self._gradients(images, labels).any(axis=(1, 2, 3))))


def worst_case(correct: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Accuracy against the strongest of all attacks up to each epsilon; never rises, by construction.

    `correct` holds, for each epsilon in ascending order, what each attack leaves classified right, `(n,)`
    bool. A change allowed at a small epsilon is allowed at a larger one too.
    """
    survived = np.logical_and.accumulate(np.stack([np.logical_and.reduce(group) for group in correct]))
    return survived.mean(axis=1)


def unsound(
    zero_gradients: float, accuracy: dict[str, Sequence[float]], epsilons: Sequence[float], images: int
) -> list[str]:
    """Reasons to distrust the evaluation, after the flags of AutoAttack, a sentence each.

    `accuracy` is by attack, at every epsilon, which ascend.
    """
    reasons = []
    if zero_gradients > 0.01:
        reasons.append(
            f"on {zero_gradients:.0%} of the images the gradient is exactly 0, so attacks that follow it "
            "cannot start there; survival of those images says nothing"
        )
    slack = 1 / images + 1e-9
    for epsilon, noise, fgsm, pgd in zip(epsilons, *(accuracy[attack] for attack in ATTACKS)):
        if pgd > fgsm + slack:
            reasons.append(f"at epsilon {epsilon:g} one step (FGSM) beats many (PGD); take more PGD steps")
        if epsilon and noise < fgsm - slack:
            reasons.append(f"at epsilon {epsilon:g} random noise beats FGSM; gradients are masked")
    for attack in ("FGSM", "PGD"):
        steps = zip(epsilons[1:], accuracy[attack], accuracy[attack][1:])
        if weaker := next((epsilon for epsilon, before, after in steps if after > before + slack), None):
            reasons.append(
                f"{attack} gets weaker at epsilon {weaker:g} although it may change more; the gradient "
                "misleads it"
            )
    return reasons
