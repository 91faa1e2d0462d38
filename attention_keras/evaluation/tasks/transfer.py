"""Descriptors as features for other datasets: runs x targets, by linear SVM (paper, section 5.4)."""

from dataclasses import asdict

import numpy as np

from attention_keras.data.datasets import ImageDataset, has_free_size, load_dataset
from attention_keras.errors import NotApplicable, UserError
from attention_keras.evaluation.options import TransferOptions
from attention_keras.evaluation.report.result import TaskResult
from attention_keras.evaluation.report.table import Table, integer, percent, text
from attention_keras.evaluation.subjects.views import descriptor_model, predict_batches
from attention_keras.evaluation.tasks.context import Context
from attention_keras.measures.linear_probe import (
    PENALTIES,
    direct_accuracy,
    linear_accuracy,
    shared_classes,
)
from attention_keras.progress import Bar

LARGEST_SHARED = 0.5
"""Share of the target's classes that the run must know before its own answers are scored."""


def measure(context: Context[TransferOptions]) -> TaskResult:
    """Train and test a linear classifier for every run on every target."""
    options = context.options
    names = options.targets or (context.dataset.name,)
    values = {subject.name: {} for subject in context.subjects}
    accuracies = {subject.name: [] for subject in context.subjects}
    direct, sizes = [], []
    for name in names:
        target = context.dataset if name == context.dataset.name else _load(name, context)
        first = slice(options.limit or None)
        train, test = target.train.take(first), target.test().take(first)
        if np.unique(train.labels, return_counts=True)[1].min() < 2:
            raise NotApplicable(f"of {name} a class has fewer than two training images; raise limit")
        sizes.append(f"{name} ({len(train):,} to train, {len(test):,} to test)")
        for subject in Bar(context.subjects, desc=name, unit=" runs"):
            describe = descriptor_model(subject.model)
            features, test_features = (
                predict_batches(describe, split.images, options.batch_size) for split in (train, test)
            )
            result = linear_accuracy(features, train.labels, test_features, test.labels, seed=options.seed)
            values[subject.name][name] = asdict(result)
            accuracies[subject.name].append(result.accuracy)
            mapping = shared_classes(context.class_names, target.class_names)
            if options.targets and len(mapping) >= LARGEST_SHARED * len(target.class_names):
                predicted = subject.predictor.predict(test.images, options.batch_size)["probabilities"]
                accuracy, count = direct_accuracy(predicted.argmax(axis=-1), np.asarray(test.labels), mapping)
                values[subject.name][name]["direct_accuracy"] = accuracy
                direct.append([subject.name, name, accuracy, count, len(mapping)])
    width = {run: found[names[0]]["features"] for run, found in values.items()}
    rows = [[s.name, s.kind, width[s.name], *accuracies[s.name]] for s in context.subjects]
    columns = [*map(text, ("run", "network")), integer("features"), *map(percent, names)]
    tables = [Table("Accuracy of a linear SVM", columns, rows)]
    if direct:
        columns = [*map(text, ("run", "target")), percent("accuracy")]
        columns += map(integer, ("images", "shared classes"))
        tables.append(Table("The network's own answers, on classes of the same name", columns, direct))
    notes = [
        f"Targets: {', '.join(sizes)}. Features are what the network's classifier sees; a linear SVM is "
        "trained on the target's training images, C chosen by cross-validation among "
        f"{', '.join(f'{c:g}' for c in PENALTIES)}, and tested on its test images, resized to the "
        "network's.",
    ]
    if not options.targets:
        notes.append(
            f"No targets were given, so this is {context.dataset.name} itself: a check that the "
            "descriptors hold what the classifier uses, not transfer."
        )
    return TaskResult("transfer", "Transfer of descriptors", values, tables=tables, notes=notes)


def _load(name: str, context: Context) -> ImageDataset:
    to, seed = context.picture_format, context.options.seed
    side = to.size[0]
    size = side if has_free_size(name) else None
    target = load_dataset(name, data_dir=context.tfds_folder, seed=seed, resize=to.resize, image_size=size)
    if target.image_shape[0] != side:
        raise UserError(
            f"images of {name} are {target.image_shape[0]} pixels wide and the network takes {side}; "
            "tfds:NAME or folder:PATH are resized, so give the target that way"
        )
    return target
