"""Accuracy and fooling rate under the fast gradient sign method, projected gradient descent, and noise.

The paper attacks with the fast gradient sign method (Goodfellow et al. 2015) only. One step along a gradient
is a weak attack: a network whose gradients are small or misleading survives it without being robust. Hence
projected gradient descent with restarts (Madry et al. 2018) beside it, and random noise as a control.
"""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from attention_keras.drawing.charts import line_chart
from attention_keras.evaluation.options import FEW_IMAGES, RobustnessOptions
from attention_keras.evaluation.result import Figure, TaskResult
from attention_keras.evaluation.subjects.dataset import Context
from attention_keras.evaluation.subjects.load import Subject
from attention_keras.evaluation.subjects.views import predict_batches
from attention_keras.evaluation.table import PERCENT, TEXT, Table
from attention_keras.explaining.explain import in_batches
from attention_keras.progress import Bar

ATTACKS = ("noise", "FGSM", "PGD")
WORST = "worst case"
PIXELS = (0.0, 255.0)


def measure(context: Context[RobustnessOptions]) -> TaskResult:
    """Attack every run on the same images."""
    split, options = context.images(FEW_IMAGES), context.options
    images, labels = np.asarray(split.images[:], "float32"), np.asarray(split.labels)
    epsilons = sorted({0.0, *map(float, options.epsilons)})
    values, warnings = {}, []
    for subject in context.subjects:
        values[subject.name], reasons = _attack(subject, images, labels, epsilons, options)
        warnings += [f"{subject.name}: {reason}" for reason in reasons]
    columns = {"run": TEXT, "attack": TEXT} | {f"eps {epsilon:g}": PERCENT for epsilon in epsilons}
    tables = []
    for caption, key in (("Accuracy under attack", "accuracy"), ("Fooling rate", "fooling_rate")):
        by_attack = [(run, *item) for run, scores in values.items() for item in scores[key].items()]
        tables.append(Table(caption, columns, [[run, attack, *shares] for run, attack, shares in by_attack]))
    panels = {
        f"{attack}: {key.replace('_', ' ')}": {run: scores[key][attack] for run, scores in values.items()}
        for key, attack in (("fooling_rate", "FGSM"), ("fooling_rate", "PGD"), ("accuracy", WORST))
    }
    axes = {"x_label": "largest change of a pixel value, of 255", "y_label": "share of images"}
    image = line_chart(panels, epsilons, markers=True, **axes)
    notes = [
        f"{len(split)} test images; attacks see the whole network, pixel normalisation included, and "
        "change raw pixels within [0, 255]. FGSM: one step of the full size along the sign of the "
        f"gradient (the paper's attack). PGD: {options.pgd_steps} small steps from {options.pgd_restarts} "
        "random starts. Noise: random signs of the same size. Worst case: an image counts as right only "
        "if it survives all of them, up to that size. Fooling rate: share of predictions that change (the "
        "paper's measure).",
        "FGSM alone proves little: a network with small or misleading gradients survives one step and "
        "falls to many. Nothing here was trained to be robust, and even PGD gives only an upper bound on "
        "robustness.",
    ]
    figure = Figure("curves", image, "Left and middle: higher is worse; right: higher is better")
    return TaskResult("Adversarial robustness", values, tables, [figure], notes=notes, warnings=warnings)


def _attack(subject: Subject, images, labels, epsilons, options: RobustnessOptions) -> tuple[dict, list[str]]:
    """What each attack did at each epsilon, and reasons to distrust it."""
    settings = {"batch_size": min(options.batch_size, 64), "seed": options.seed}
    attacker = Attacker(
        subject.logits_model, steps=options.pgd_steps, restarts=options.pgd_restarts, **settings
    )
    before = attacker.predict(images)
    accuracy, fooled = ({attack: [] for attack in ATTACKS} for _ in range(2))
    correct = []
    for epsilon in Bar(epsilons, desc=subject.name, unit=" epsilon"):
        answers = [attacker.predict(attacker.attack(attack, images, labels, epsilon)) for attack in ATTACKS]
        correct.append([after == labels for after in answers])
        for attack, after in zip(ATTACKS, answers):
            accuracy[attack].append(float(np.mean(after == labels)))
            fooled[attack].append(float(np.mean(after != before)))
    zero = attacker.zero_gradients(images, labels)
    reasons = unsound(zero, accuracy, epsilons, len(images))
    accuracy[WORST] = worst_case(correct).tolist()
    found = {"epsilons": epsilons, "images": len(images), "accuracy": accuracy}
    return found | {"fooling_rate": fooled, "zero_gradients": zero}, reasons


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
    return np.logical_and.accumulate(np.all(correct, axis=1)).mean(axis=1)


def unsound(
    zero_gradients: float, accuracy: dict[str, Sequence[float]], epsilons: Sequence[float], images: int
) -> list[str]:
    """Reasons to distrust the evaluation, after the flags of AutoAttack, a sentence each.

    `accuracy` is by attack, at every epsilon, which ascend.
    """
    reasons, slack = [], 1 / images + 1e-9
    if zero_gradients > 0.01:
        reasons.append(
            f"on {zero_gradients:.0%} of the images the gradient is exactly 0, so attacks that follow it "
            "cannot start there; survival of those images says nothing"
        )
    for epsilon, noise, fgsm, pgd in zip(epsilons, *(accuracy[attack] for attack in ATTACKS)):
        if pgd > fgsm + slack:
            reasons.append(f"at epsilon {epsilon:g} one step (FGSM) beats many (PGD); take more PGD steps")
        if epsilon and noise < fgsm - slack:
            reasons.append(f"at epsilon {epsilon:g} random noise beats FGSM; gradients are masked")
    for attack in ("FGSM", "PGD"):
        weaker = np.flatnonzero(np.diff(accuracy[attack]) > slack)
        if len(weaker):
            reasons.append(
                f"{attack} gets weaker at epsilon {epsilons[weaker[0] + 1]:g} although it may change more; "
                "the gradient misleads it"
            )
    return reasons
