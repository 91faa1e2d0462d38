"""Features of a frozen backbone: computed once, kept on disk where they are many; the head trains on them."""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from attention_keras.data.array_store import ArrayStore
from attention_keras.data.features import FeatureRows, MapFiles
from attention_keras.data.pipeline import evaluation_batches
from attention_keras.data.rows import ImageRows
from attention_keras.data.split import ImageDataset, Split
from attention_keras.models.classifier import Classifier
from attention_keras.models.parts import split_frozen
from attention_keras.models.tiled import TiledModel, reads_tiles
from attention_keras.progress import Bar
from attention_keras.training.strategy import Strategy, replicated


@dataclass(frozen=True, eq=False)
class FrozenPart:
    """What is frozen of a network, and the head that learns meanwhile; they share the network's layers.

    `features` goes from images `(b, h, w, 3)` to a list of tensors, `head` from these to the outputs. Where
    images are read in `tiles`, that gives their features.
    """

    features: keras.Model
    head: Classifier
    tiles: TiledModel | None

    @classmethod
    def of(cls, model: Classifier, strategy: Strategy | None) -> "FrozenPart":
        """The parts of a network with a frozen backbone."""
        features, head = split_frozen(model)
        tiles = TiledModel(model) if reads_tiles(model) else None
        return cls(features, replicated(head, strategy), tiles)

    @functools.cached_property
    def compute(self) -> Callable[[tf.Tensor], list[tf.Tensor]]:
        """From images `(b, h, w, 3)` float32 to a list of features, traced once for all batches."""

        @tf.function(input_signature=[tf.TensorSpec((None, *self.features.input_shape[1:]))], autograph=False)
        def compute(images):
            return keras.tree.flatten(self.features(images, training=False))

        return compute

    def features_of(
        self, dataset: ImageDataset, batch_size: int, folder: Path, show: bool
    ) -> tuple[Split, Split]:
        """The training and the validation split with features in place of pixels.

        An earlier process may have left them in the folder. `show` is for a bar that shows the progress.
        """
        splits = []
        for name in ("train", "validation"):
            split, title = getattr(dataset, name), f"features, {name}"
            rows: FeatureRows | MapFiles
            if self.tiles:
                rows = self._of_tiles(self.tiles, split.images, folder / name, title, show)
            else:
                shapes = [tuple(tensor.shape[1:]) for tensor in self.features.outputs]
                batches = self._computed(split, dataset.num_classes, batch_size, title, show)
                rows = FeatureRows.kept(batches, shapes, len(split), ArrayStore(cache_dir=folder / name))
            splits.append(dataclasses.replace(split, images=rows, masks=None, boxes=None))
        return splits[0], splits[1]

    def _computed(
        self, split: Split, num_classes: int, batch_size: int, title: str, show: bool
    ) -> Iterator[list[tf.Tensor]]:
        with Bar(total=len(split), desc=title, unit=" images", disable=not show) as bar:
            for images, _ in evaluation_batches(split, num_classes=num_classes, batch_size=batch_size):
                yield self.compute(tf.cast(images, tf.float32))
                bar.update(len(images))

    def _of_tiles(
        self, tiles: TiledModel, images: ImageRows, folder: Path, title: str, show: bool
    ) -> MapFiles:
        with Bar(total=len(images), desc=title, unit=" images", disable=not show) as bar:

            def compute(row: int) -> Iterator[np.ndarray]:
                yield from tiles.features(images.bands(row, tiles.side))
                bar.update(row + 1 - bar.n)

            return MapFiles.kept(folder, len(images), compute)
