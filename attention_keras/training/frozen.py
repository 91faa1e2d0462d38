"""Features of a frozen backbone: computed once, kept on disk where they are many; a head is fitted."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from scipy.special import log_softmax

from attention_keras.data.array_store import ArrayStore, Floats, MapFiles, keep_features
from attention_keras.data.pipeline import evaluation_batches, steps_per_epoch
from attention_keras.data.split import Split
from attention_keras.layers.normalization import Standardize
from attention_keras.models.class_head import LOCAL, PROBE, SCORES, find_weighted_levels
from attention_keras.models.classifier import Classifier
from attention_keras.models.graph import graph_nodes
from attention_keras.models.outputs import LOGITS
from attention_keras.models.parts import split_frozen
from attention_keras.models.taps import TILES
from attention_keras.models.tiled import TiledModel, reads_tiles
from attention_keras.progress import Bar
from attention_keras.runs.config import RunConfig
from attention_keras.training.class_fit import ClassFit, fit_class_head
from attention_keras.training.device import Strategy, replicated
from attention_keras.training.losses import importance_of


class FrozenPart:
    """What is frozen of a network, `features` or `tiles`, and the head that learns; they share its layers."""

    def __init__(self, model: Classifier, strategy: Strategy | None):
        self.features, head = split_frozen(model)
        self.head = replicated(head, strategy)
        self.tiles = TiledModel(model) if reads_tiles(model) else None
        images = tf.TensorSpec((None, *self.features.input_shape[1:]))
        compute = lambda images: keras.tree.flatten(self.features(images, training=False))  # noqa: E731
        self.compute = tf.function(compute, [images], autograph=False)  # traced once for all batches

    def with_features(
        self, split: Split, folder: Path, num_classes: int, batch_size: int, show: bool
    ) -> Split:
        """With features in place of pixels, which an earlier process may have left in the folder."""
        with Bar(total=len(split), desc=f"features, {folder.name}", unit=" images", disable=not show) as bar:

            def of_batches() -> Iterator[list[tf.Tensor]]:
                for images, _ in evaluation_batches(split, num_classes=num_classes, batch_size=batch_size):
                    yield self.compute(tf.cast(images, tf.float32))
                    bar.update(len(images))

            def of_tiles(row: int) -> Iterator[np.ndarray]:
                yield from self.tiles.features(split.images.bands(row, self.tiles.side))
                bar.update(row + 1 - bar.n)

            if self.tiles:
                rows = MapFiles.kept(folder, len(split), of_tiles)
            else:
                shapes = [tuple(tensor.shape[1:]) for tensor in self.features.outputs]
                store = ArrayStore(cache_dir=folder)
                rows = keep_features(of_batches(), shapes, len(split), store)
        return dataclasses.replace(split, images=rows, masks=None, boxes=None)


def fit_epoch(
    head: Classifier, train: Split, validation: Split, in_order: Callable, callbacks: list, config: RunConfig
) -> None:
    """Fit a class head to features, as one epoch; a run that was interrupted meanwhile fits again."""
    told = keras.callbacks.CallbackList(callbacks, model=head)
    told.on_train_begin()
    told.on_epoch_begin(0)
    num_classes = head.output[LOGITS].shape[-1]
    importance = importance_of(train, num_classes, config.balance)
    how = {"groups": train.units, "importance": importance, "seed": config.seed}
    fitted = fit_class_head(maps_of(head, train.images), np.asarray(train.labels), num_classes, **how)
    assign(head, fitted)

    def measured(split: Split) -> dict[str, float]:
        if not isinstance(split.images, MapFiles):
            return head.evaluate(in_order(split), verbose=0, return_dict=True)
        logits, given = fitted.logits(maps_of(head, split.images)), np.asarray(split.labels)
        loss = -log_softmax(logits, axis=1)[np.arange(len(given)), given].mean()
        return {"loss": float(loss), "accuracy": float((logits.argmax(1) == given).mean())}

    logs = measured(train)
    told.on_train_batch_end(steps_per_epoch(len(train), config.step_batch_size) - 1, logs)
    told.on_epoch_end(0, logs | {f"val_{name}": value for name, value in measured(validation).items()})
    told.on_train_end()


def maps_of(head: Classifier, rows: tuple[Floats, ...] | MapFiles) -> dict[str, Floats | MapFiles]:
    """Tap -> its features, in the order of the taps."""
    if isinstance(rows, MapFiles):
        return {TILES: rows}
    columns = {id(tensor): column for tensor, column in zip(head.inputs, rows, strict=True)}
    # Not layer.input, which is of the whole network's graph.
    nodes = [node for node in graph_nodes(head) if isinstance(node.operation, Standardize)]
    found = {node.operation.name.removeprefix(LOCAL): columns[id(node.input_tensors[0])] for node in nodes}
    return dict(sorted(found.items(), key=lambda item: item[1].shape[1], reverse=True))


def assign(head: Classifier, fitted: ClassFit) -> None:
    linear = {PROBE: fitted.probe} | {f"{SCORES}{tap}": each for tap, each in fitted.attention.items()}
    for name, classifier in linear.items():
        head.get_layer(name).set_weights([classifier.kernel, classifier.bias])
    for tap, statistics in fitted.statistics.items():
        head.get_layer(f"{LOCAL}{tap}").set_statistics(statistics.mean, statistics.square, statistics.count)
    find_weighted_levels(head).weight.assign(fitted.weights.astype("float32"))
