"""Descriptors as features for other datasets: runs x targets, by linear SVM (paper, section 5.4)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from attention_keras.data.datasets import ImageDataset, has_free_size, load_dataset
from attention_keras.errors import NotApplicable
from attention_keras.evaluation.options import TransferOptions
from attention_keras.evaluation.result import TaskResult
from attention_keras.evaluation.subjects.dataset import Context, picture_format, tfds_folder
from attention_keras.evaluation.subjects.views import descriptor_model, predict_batches
from attention_keras.evaluation.table import INTEGER, PERCENT, TEXT, Table
from attention_keras.progress import Bar

PENALTIES = (0.001, 0.01, 0.1, 1.0)
FOLDS = 3
# Names of one thing in CIFAR-10 (right) and elsewhere, STL-10 among them.
_SYNONYMS = {"car": "automobile", "plane": "airplane", "aeroplane": "airplane"}


def measure(context: Context[TransferOptions]) -> TaskResult:
    """Train and test a linear classifier for every run on every target."""
    options = context.options
    names = list(dict.fromkeys(options.targets)) or [context.dataset.name]
    values = {subject.name: {} for subject in context.subjects}
    sizes, direct = [], []
    for name in names:
        target = context.dataset if name == context.dataset.name else _load(name, context)
        first = slice(options.limit or None)
        train, test = target.train.take(first), target.test().take(first)
        classes, counts = np.unique(train.labels, return_counts=True)
        if len(classes) < 2 or counts.min() < 2:
            raise NotApplicable(f"of {name} a class has fewer than two training images; raise limit")
        sizes.append(f"{name} ({len(train):,} to train, {len(test):,} to test)")
        for subject in Bar(context.subjects, desc=name, unit=" runs"):
            describe = descriptor_model(subject.model)
            seen, new = (predict_batches(describe, part.images, options.batch_size) for part in (train, test))
            values[subject.name][name] = linear_accuracy(seen, train.labels, new, test.labels, options.seed)
            if options.targets:
                predicted = subject.predictor.predict(test.images, options.batch_size)[
                    "probabilities"
                ].argmax(-1)
                answers = (predicted, context.class_names), (test.labels, target.class_names)
                direct.append([subject.name, name, *direct_accuracy(*answers)])
    rows = [
        [s.name, s.kind, found[names[0]]["features"], *(found[name]["accuracy"] for name in names)]
        for s, found in zip(context.subjects, values.values())
    ]
    columns = {"run": TEXT, "network": TEXT, "features": INTEGER} | dict.fromkeys(names, PERCENT)
    notes = [
        f"Targets: {', '.join(sizes)}. Features are what the network's classifier sees of the target's "
        "images, resized; a linear SVM is trained on the training images, C chosen by cross-validation "
        f"among {', '.join(f'{c:g}' for c in PENALTIES)}, and tested on the test images.",
    ]
    if not options.targets:
        notes.append(
            f"No targets were given, so this is {context.dataset.name} itself: a check that the "
            "descriptors hold what the classifier uses, not transfer."
        )
    tables = [Table("Accuracy of a linear SVM", columns, rows)]
    if direct := [row for row in direct if row[-1]]:
        columns = {"run": TEXT, "target": TEXT, "accuracy": PERCENT, "images": INTEGER}
        tables.append(Table("The network's own answers, on classes of the same name", columns, direct))
    return TaskResult("Transfer of descriptors", values, tables, notes=notes)


def _load(name: str, context: Context) -> ImageDataset:
    to, options = picture_format(context.subjects), context.options
    how = {"resize": to.resize, "image_size": to.size[0] if has_free_size(name) else None}
    folder = tfds_folder(context.subjects, options.data_dir)
    return load_dataset(name, data_dir=folder, seed=options.seed, **how)


def linear_accuracy(features, labels, test_features, test_labels, seed: int = 0) -> dict[str, Any]:
    """Train a linear SVM on standardised features `(n, c)`, C chosen by cross-validation, and test it."""
    folds = min(FOLDS, int(np.unique(labels, return_counts=True)[1].min()))
    search = GridSearchCV(
        make_pipeline(StandardScaler(), LinearSVC(dual="auto", max_iter=5000, random_state=seed)),
        {"linearsvc__C": list(PENALTIES)},
        cv=StratifiedKFold(folds, shuffle=True, random_state=seed),
    )
    search.fit(features, labels)
    return {
        "accuracy": float(search.score(test_features, test_labels)),
        "penalty": float(search.best_params_["linearsvc__C"]),
        "validation_accuracy": float(search.best_score_),
        "features": features.shape[1],
    }


def direct_accuracy(
    predicted: tuple[np.ndarray, Sequence[str]], truth: tuple[np.ndarray, Sequence[str]]
) -> tuple[float, int]:
    """Accuracy of answers on images of classes that both datasets name (car is automobile), and their number.

    Both are labels and class names. An answer that the other dataset has no class for (CIFAR-10's frog on
    STL-10) is wrong. Without a class in common the number is 0.
    """
    ours, theirs = (
        np.array([_SYNONYMS.get(name.strip().lower(), name.strip().lower()) for name in names])
        for _, names in (predicted, truth)
    )
    expected = theirs[np.asarray(truth[0])]
    shared = np.isin(expected, ours)
    right = ours[predicted[0]][shared] == expected[shared]
    return float(right.mean()) if shared.any() else float("nan"), int(shared.sum())
