"""Accuracy and fooling rate under FGSM (the paper), PGD, and random noise of the same size."""

import numpy as np

from attention_keras.drawing.charts import line_chart
from attention_keras.evaluation.attacks import ATTACKS, Attacker, unsound, worst_case
from attention_keras.evaluation.options import FEW_IMAGES, RobustnessOptions
from attention_keras.evaluation.report.result import Figure, TaskResult
from attention_keras.evaluation.report.table import Table, percent, text
from attention_keras.evaluation.subjects.dataset import Context
from attention_keras.evaluation.subjects.load import Subject
from attention_keras.progress import Bar


def measure(context: Context[RobustnessOptions]) -> TaskResult:
    """Attack every run on the same images."""
    split, options = context.images(FEW_IMAGES), context.options
    images, labels = np.asarray(split.images[:], "float32"), np.asarray(split.labels)
    epsilons = sorted({0.0, *map(float, options.epsilons)})
    values, warnings = {}, []
    for subject in context.subjects:
        values[subject.name], reasons = _attack(subject, images, labels, epsilons, options)
        warnings += [f"{subject.name}: {reason}" for reason in reasons]
    columns = [text("run"), text("attack"), *(percent(f"eps {epsilon:g}") for epsilon in epsilons)]
    tables = []
    for caption, key in (("Accuracy under attack", "accuracy"), ("Fooling rate", "fooling_rate")):
        by_attack = [(run, *item) for run, scores in values.items() for item in scores[key].items()]
        tables.append(Table(caption, columns, [[run, attack, *shares] for run, attack, shares in by_attack]))
    panels = {
        title: {run: scores[key][attack] for run, scores in values.items()}
        for title, key, attack in (
            ("FGSM: fooling rate", "fooling_rate", "FGSM"),
            ("PGD: fooling rate", "fooling_rate", "PGD"),
            ("worst case: accuracy", "accuracy", "worst case"),
        )
    }
    axes = {"x_label": "largest change of a pixel value, of 255", "y_label": "share of images"}
    image = line_chart(panels, epsilons, markers=True, **axes)
    notes = [
        f"{len(split)} test images; attacks see the whole network, pixel normalisation included, and "
        "change raw pixels within [0, 255]. FGSM: one step of the full size along the sign of the "
        f"gradient (the paper's attack). PGD: {options.pgd_steps} small steps from {options.pgd_restarts} "
        "random starts. Noise: random signs of the same size. Worst case: an image counts as right only "
        "if it survives all of them, up to that size.",
        "Fooling rate: share of predictions that change (the paper's measure).",
        "FGSM alone proves little: a network with small or misleading gradients survives one step and "
        "falls to many. Nothing here was trained to be robust, and even PGD gives only an upper bound on "
        "robustness.",
    ]
    figure = Figure("curves", image, "Left and middle: higher is worse; right: higher is better")
    parts = {"tables": tables, "figures": [figure], "notes": notes, "warnings": warnings}
    return TaskResult("robustness", "Adversarial robustness", values, **parts)


def _attack(subject: Subject, images, labels, epsilons, options: RobustnessOptions) -> tuple[dict, list[str]]:
    """What each attack did at each epsilon, and reasons to distrust it."""
    attacker = Attacker(
        subject.logits_model,
        steps=options.pgd_steps,
        restarts=options.pgd_restarts,
        batch_size=min(options.batch_size, 64),
        seed=options.seed,
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
    accuracy["worst case"] = worst_case(correct).tolist()
    return {
        "epsilons": epsilons,
        "images": len(images),
        "accuracy": accuracy,
        "fooling_rate": fooled,
        "zero_gradients": zero,
    }, reasons
