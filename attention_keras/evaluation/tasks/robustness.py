"""Accuracy and fooling rate under the fast gradient sign method (Goodfellow et al. 2015), the paper's;
projected gradient descent with restarts (Madry et al. 2018), since one step is a weak attack; and noise."""

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
        f"{len(split)} test images. FGSM, as in the paper: one step along the sign of the gradient. PGD: "
        f"{options.pgd_steps} small steps, {options.pgd_restarts} random starts. Noise: random signs. Worst "
        "case: right under all of them, up to that size. Fooling rate: share of predictions that change.",
        "Nothing here was trained to be robust, and PGD too is an upper bound on robustness only.",
    ]
    figure = Figure("curves", image, "Left and middle: higher is worse; right: higher is better")
    return TaskResult("Adversarial robustness", values, tables, [figure], notes=notes, warnings=warnings)


def _attack(subject: Subject, images, labels, epsilons, options: RobustnessOptions) -> tuple[dict, list[str]]:
    """What each attack did at each epsilon, and reasons to distrust it."""
    settings = {"steps": options.pgd_steps, "restarts": options.pgd_restarts, "seed": options.seed}
    attacker = Attacker(subject.logits_model, **settings, batch_size=min(options.batch_size, 64))
    before = attacker.predict(images)
    bar = Bar(epsilons, desc=subject.name, unit=" epsilon")
    answers = np.array(
        [[attacker.predict(attacker.attack(a, images, labels, e)) for a in ATTACKS] for e in bar]
    )
    shares = ((answers == labels).mean(axis=-1), (answers != before).mean(axis=-1))
    accuracy, fooled = (dict(zip(ATTACKS, share.T.tolist())) for share in shares)
    zero = attacker.zero_gradients(images, labels)
    reasons = unsound(zero, accuracy, epsilons, len(images))
    accuracy[WORST] = worst_case(answers == labels).tolist()
    found = {"epsilons": epsilons, "images": len(images), "accuracy": accuracy}
    return found | {"fooling_rate": fooled, "zero_gradients": zero}, reasons


class Attacker:
    """Attacks on a network pixels -> logits `(b, k)`; `steps` and `restarts` are of PGD."""

    def __init__(self, model: keras.Model, *, steps: int, restarts: int, batch_size: int = 64, seed: int = 0):
        self._model, self.steps, self.restarts = model, steps, restarts
        self.batch_size, self.seed = batch_size, seed

        @tf.function(reduce_retracing=True)
        def gradient(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape() as tape:
                tape.watch(images)
                logits = model(images, training=False)
                loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            return tape.gradient(loss, images)

        self._gradient = gradient

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


def worst_case(correct: np.ndarray) -> np.ndarray:
    """Accuracy `(e,)` against all attacks up to each of `e` ascending epsilons; `correct` is `(e, a, n)`."""
    return np.logical_and.accumulate(np.all(correct, axis=1)).mean(axis=1)


def unsound(zero_gradients: float, accuracy: dict[str, Sequence[float]], epsilons, images: int) -> list[str]:
    """Reasons to distrust the evaluation, after the flags of AutoAttack, a sentence each."""
    noise, fgsm, pgd = (np.array(accuracy[attack]) for attack in ATTACKS)
    slack, misleads = 1 / images + 1e-9, "gets weaker although it may change more; the gradient misleads it"
    flags = {
        "one step (FGSM) beats many (PGD); take more PGD steps": pgd > fgsm + slack,
        "random noise beats FGSM; gradients are masked": (noise < fgsm - slack) & (np.array(epsilons) > 0),
        f"FGSM {misleads}": np.diff(fgsm, prepend=fgsm[0]) > slack,
        f"PGD {misleads}": np.diff(pgd, prepend=pgd[0]) > slack,
    }
    none = f"on {zero_gradients:.0%} of the images the gradient is exactly 0, where no attack can start"
    at = [f"at epsilon {e:g} {said}" for said, where in flags.items() for e in np.compress(where, epsilons)]
    return [none] * (zero_gradients > 0.01) + at
