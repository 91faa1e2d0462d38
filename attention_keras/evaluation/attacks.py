"""Adversarial attacks on raw pixels through the Adversarial Robustness Toolbox.

The paper attacks with the fast gradient sign method only. One step along a gradient is a weak attack: a
network whose gradients are small or misleading survives it without being robust. Hence projected gradient
descent with restarts beside it, and random noise as a control.
"""

import logging.config
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np

from attention_keras.extras import needs
from attention_keras.measures.robustness import PIXELS, check_change

ATTACKS = ("noise", "FGSM", "PGD")


class Attacker:
    """Attacks on one network with float32 pixels in [0, 255].

    Args:
        logits_model: pixels -> logits `(b, k)`.
        steps: of projected gradient descent.
        restarts: its random starts.
        batch_size: images at a time.
        seed: of noise and random starts.

    Raises:
        UserError: the toolbox is not installed.
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
        self._classifier = _classifier(logits_model)
        self.steps, self.restarts, self.batch_size, self.seed = steps, restarts, batch_size, seed

    def attack(self, name: str, images: np.ndarray, labels: np.ndarray, epsilon: float) -> np.ndarray:
        """Images changed by at most `epsilon` in every pixel value, within [0, 255].

        Args:
            name: one of `ATTACKS`.
            images: `(n, h, w, 3)` pixels.
            labels: `(n,)` true classes, which the attack leads away from.
            epsilon: in pixel values; 0 changes nothing.

        Returns:
            float32 `(n, h, w, 3)`.

        Raises:
            ValueError: an unknown attack.
            RuntimeError: the toolbox broke its promise.
        """
        images = np.asarray(images, "float32")
        if name not in ATTACKS:
            raise ValueError(f"attack must be one of {', '.join(ATTACKS)}; got {name!r}")
        if epsilon == 0:
            return images.copy()
        if name == "noise":
            signs = np.random.default_rng(self.seed).choice([-1.0, 1.0], images.shape)
            changed = np.clip(images + epsilon * signs, *PIXELS).astype("float32")
        else:
            with _seeded(self.seed):
                changed = self._tool(name, epsilon).generate(images, y=np.asarray(labels))
        check_change(images, changed, epsilon)
        return changed

    def _tool(self, name: str, epsilon: float):
        from art.attacks.evasion import FastGradientMethod, ProjectedGradientDescent

        if name == "FGSM":
            return FastGradientMethod(self._classifier, eps=epsilon, batch_size=self.batch_size)
        return ProjectedGradientDescent(
            self._classifier,
            eps=epsilon,
            eps_step=2.5 * epsilon / self.steps,
            max_iter=self.steps,
            num_random_init=self.restarts,
            batch_size=self.batch_size,
            verbose=False,
        )

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Predicted class `(n,)`."""
        return self.logits(images).argmax(axis=-1)

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Logits `(n, k)`."""
        return self._classifier.predict(np.asarray(images, "float32"), batch_size=self.batch_size)

    def zero_gradients(self, images: np.ndarray, labels: np.ndarray) -> float:
        """Share of images on which the gradient of the loss is 0 in every pixel."""
        starts = range(0, len(images), self.batch_size)
        parts = [slice(start, start + self.batch_size) for start in starts]
        one_hot = np.eye(self._classifier.nb_classes)[np.asarray(labels)]
        gradients = [
            self._classifier.loss_gradient(np.asarray(images[p], "float32"), one_hot[p]) for p in parts
        ]
        return float(np.mean(~np.concatenate(gradients).any(axis=(1, 2, 3))))


def _classifier(logits_model: keras.Model):
    """The toolbox's view of the network: raw pixels in, logits out, normalisation inside the network."""
    with needs("robustness", extra="evaluate"), _undisturbed():
        from art.estimators.classification import TensorFlowV2Classifier
    return TensorFlowV2Classifier(
        model=logits_model,
        nb_classes=logits_model.output.shape[-1],
        input_shape=tuple(logits_model.input.shape[1:]),
        loss_object=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        clip_values=PIXELS,
    )


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Import the toolbox without what it does to the process.

    It warns that PyTorch is missing, which is not needed; and it configures Python's logging, which closes
    every handler there is: absl's, which TensorFlow and Keras log through, closes its stream then.
    """
    configure = logging.config.dictConfig
    logging.config.dictConfig = lambda settings: None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.config.dictConfig = configure


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """The toolbox draws from NumPy's global generator; give it a seed and put the state back."""
    state = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(state)
