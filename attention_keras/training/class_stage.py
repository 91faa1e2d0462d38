"""The frozen stage of a class head: one epoch, in which it is fitted and not trained step by step."""

from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from scipy.special import log_softmax

from attention_keras.data.features import FeatureRows, Floats, MapFiles
from attention_keras.data.split import Split
from attention_keras.layers.normalization import Standardize
from attention_keras.models.class_head import LOCAL, PROBE, SCORES, find_weighted_levels
from attention_keras.models.classifier import Classifier
from attention_keras.models.graph import graph_nodes
from attention_keras.models.outputs import LOGITS
from attention_keras.models.taps import TILES
from attention_keras.runs.config import RunConfig
from attention_keras.training.callbacks import History
from attention_keras.training.class_fit import ClassFit, Linear, fit_class_head
from attention_keras.training.targets import importance_of


def fit_epoch(
    head: Classifier,
    train: Split,
    validation: Split,
    in_order: Callable[[Split], tf.data.Dataset],
    history: History,
    callbacks: Sequence[keras.callbacks.Callback],
    config: RunConfig,
) -> None:
    """Fit the compiled head to the features of the training split, as one epoch of the run.

    `in_order` makes batches of a split, of which loss and accuracy are told; `callbacks` see the epoch
    as they see one of `Classifier.fit`. What is fitted is a function of the features and the seed, so a run
    that was interrupted meanwhile fits again.
    """
    told = keras.callbacks.CallbackList(callbacks, model=head)
    told.on_train_begin()
    told.on_epoch_begin(0)
    labels, num_classes = np.asarray(train.labels), head.output[LOGITS].shape[-1]
    importance = importance_of(train, num_classes, config.balance)
    maps = maps_of(head, train.images)
    how = {"groups": train.units, "importance": importance, "seed": config.seed}
    fitted = fit_class_head(maps, labels, num_classes, **how)
    assign(head, fitted)

    def measured(split: Split) -> dict[str, float]:
        if not isinstance(split.images, MapFiles):
            return head.evaluate(in_order(split), verbose=0, return_dict=True)
        logits, given = fitted.logits(maps_of(head, split.images)), np.asarray(split.labels)
        loss = -log_softmax(logits, axis=1)[np.arange(len(given)), given].mean()
        return {"loss": float(loss), "accuracy": float((logits.argmax(1) == given).mean())}

    logs = measured(train)
    told.on_train_batch_end(history.steps_per_epoch - 1, logs)
    validated = measured(validation)
    told.on_epoch_end(0, logs | {f"val_{name}": value for name, value in validated.items()})
    told.on_train_end()


def maps_of(head: Classifier, rows: FeatureRows | MapFiles) -> dict[str, Floats | MapFiles]:
    """Tap -> its features, in the order of the taps."""
    if isinstance(rows, MapFiles):
        return {TILES: rows}
    columns = {id(tensor): column for tensor, column in zip(head.inputs, rows.columns, strict=True)}
    # Not layer.input, which is of the whole network's graph.
    found = {
        node.operation.name.removeprefix(LOCAL): Floats(columns[id(node.input_tensors[0])])
        for node in graph_nodes(head)
        if isinstance(node.operation, Standardize)
    }
    return dict(sorted(found.items(), key=lambda item: item[1].shape[1], reverse=True))


def assign(head: Classifier, fitted: ClassFit) -> None:
    """Give the layers of a class head what was fitted."""

    def give(name: str, classifier: Linear) -> None:
        layer = head.get_layer(name)
        layer.kernel.assign(classifier.kernel)
        layer.bias.assign(classifier.bias)

    give(PROBE, fitted.probe)
    for tap, statistics in fitted.statistics.items():
        give(f"{SCORES}{tap}", fitted.attention[tap])
        head.get_layer(f"{LOCAL}{tap}").set_statistics(statistics.mean, statistics.square, statistics.count)
    find_weighted_levels(head).weight.assign(fitted.weights.astype("float32"))
