"""Adversarial attacks on raw pixels through the Adversarial Robustness Toolbox, and how far to trust them.

The paper attacks with the fast gradient sign method only. One step along a gradient is a weak attack: a
network whose gradients are small or misleading survives it without being robust. Hence projected gradient
descent with restarts beside it, random noise as a control, and warnings where numbers mislead.
"""

import logging.config
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import keras
import numpy as np

from attention_keras.errors import UserError

PIXELS = (0.0, 255.0)
ATTACKS = ("noise", "FGSM", "PGD")
_ROUNDING = 1e-3
"""Tolerance of float32 arithmetic on values up to 255."""


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
    try:
        with _undisturbed():
            from art.estimators.classification import TensorFlowV2Classifier
    except ImportError as error:
        raise UserError(
            f"robustness needs the adversarial-robustness-toolbox ({error}); "
            "pip install adversarial-robustness-toolbox"
        ) from None
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


def check_change(clean: np.ndarray, changed: np.ndarray, epsilon: float) -> None:
    """Raise RuntimeError unless every pixel moved by at most `epsilon` and stayed in [0, 255]."""
    largest = float(np.abs(changed - clean).max(initial=0))
    if largest > epsilon + _ROUNDING or changed.min() < PIXELS[0] or changed.max() > PIXELS[1]:
        raise RuntimeError(
            f"the attack changed a pixel by {largest}, allowed are {epsilon} within [0, 255]; "
            f"values are from {changed.min()} to {changed.max()}"
        )


def fooling_rate(before: np.ndarray, after: np.ndarray) -> float:
    """Share of predictions `(n,)` that changed, right or wrong (the paper's measure).

    Example:
        >>> fooling_rate(np.array([1, 2, 3, 4]), np.array([1, 2, 3, 9]))
        0.25
    """
    return float(np.mean(before != after))


def worst_case(correct: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Accuracy against the strongest of all attacks up to each epsilon; never rises, by construction.

    Args:
        correct: for each epsilon, ascending, what each attack leaves `(n,)` bool classified right.

    Returns:
        `(number of epsilons,)`. A change allowed at a small epsilon is allowed at a larger one too.

    Example:
        >>> right, wrong = np.array([True, True]), np.array([True, False])
        >>> worst_case([[right, wrong], [right, right]]).tolist()
        [0.5, 0.5]
    """
    survived = np.logical_and.accumulate(np.stack([np.logical_and.reduce(group) for group in correct]))
    return survived.mean(axis=1)


def unsound(
    *,
    zero_gradients: float,
    logits: np.ndarray,
    logits_again: np.ndarray,
    accuracy: dict[str, Sequence[float]],
    epsilons: Sequence[float],
) -> list[str]:
    """Reasons to distrust the evaluation, after the flags of AutoAttack.

    Args:
        zero_gradients: share of images without a gradient.
        logits, logits_again: of two passes over the same images `(n, k)`.
        accuracy: attack -> accuracy at every epsilon.
        epsilons: ascending.

    Returns:
        One sentence each; empty when nothing is amiss.
    """
    reasons = []
    if zero_gradients > 0.01:
        reasons.append(
            f"on {zero_gradients:.0%} of the images the gradient is exactly 0, so attacks that follow it "
            "cannot start there; survival of those images says nothing"
        )
    if not np.allclose(logits, logits_again, rtol=1e-4, atol=1e-4):
        reasons.append("two passes over the same images differ; gradients of a random network mislead")
    if (logits >= 0).all() and np.allclose(logits.sum(axis=-1), 1, atol=1e-3):
        reasons.append("the outputs are probabilities, whose gradients vanish where they are near 1")
    slack = 1.0 / len(logits) + 1e-9
    for place, epsilon in enumerate(epsilons):
        if accuracy["PGD"][place] > accuracy["FGSM"][place] + slack:
            reasons.append(f"at epsilon {epsilon:g} one step (FGSM) beats many (PGD); take more PGD steps")
        if epsilon and accuracy["noise"][place] < accuracy["FGSM"][place] - slack:
            reasons.append(f"at epsilon {epsilon:g} random noise beats FGSM; gradients are masked")
    for attack, values in accuracy.items():
        rises = [epsilons[i + 1] for i in range(len(values) - 1) if values[i + 1] > values[i] + slack]
        if rises and attack != "noise":
            reasons.append(
                f"{attack} gets weaker at epsilon {rises[0]:g} although it may change more; the gradient "
                f"misleads it"
            )
    return reasons
