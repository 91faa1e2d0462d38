"""A backbone that reads images of any size in tiles, and answers for images that need not fit in memory."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from attention_keras.errors import UserError
from attention_keras.models.class_head import LOCAL, PROBE, SCORES, find_weighted_levels
from attention_keras.models.graph import all_layers, graph_nodes, is_graph
from attention_keras.models.taps import TILES, find_taps

CUT = "cut"  # the layer that makes tiles
AT_ONCE = 8  # tiles that the backbone reads together


class _OfTiles(keras.layers.Layer):
    """What both layers know, in pixels: the `side` of a tile, the `margin` around what is kept of it, and the
    `step` from one to the next."""

    def __init__(self, side: int, margin: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.side, self.margin, self.step = side, margin, side - 2 * margin

    def get_config(self):
        return {**super().get_config(), "side": self.side, "margin": self.margin}


@keras.saving.register_keras_serializable(package="attention_keras")
class Tiles(_OfTiles):
    """Images `(b, H, W, c)` -> overlapping tiles `(b * rows * columns, side, side, c)`; the border is
    repeated."""

    def call(self, images):
        batch, height, width, channels = ops.shape(images)
        for axis, length in ((1, height), (2, width)):
            count = -(-length // self.step)
            starts = ops.arange(count, dtype="int32")[:, None] * self.step - self.margin
            places = ops.reshape(starts + ops.arange(self.side), (-1,))
            images = ops.take(images, ops.clip(places, 0, length - 1), axis=axis)
        rows, columns = -(-height // self.step), -(-width // self.step)
        images = ops.reshape(images, (batch, rows, self.side, columns, self.side, channels))
        images = ops.transpose(images, (0, 1, 3, 2, 4, 5))
        return ops.reshape(images, (batch * rows * columns, self.side, self.side, channels))

    def compute_output_shape(self, images_shape):
        return None, self.side, self.side, images_shape[-1]


@keras.saving.register_keras_serializable(package="attention_keras")
class JoinTiles(_OfTiles):
    """The maps `(b * rows * columns, h, w, c)` of the tiles of images -> one map of each image, of `ceil(H *
    h / side)` by `ceil(W * w / side)` places, without the margins."""

    def call(self, maps, images):
        batch, height, width, _ = ops.shape(images)
        _, h, w, channels = ops.shape(maps)
        rows, columns = -(-height // self.step), -(-width // self.step)
        cut = self.margin * h // self.side
        maps, h, w = maps[:, cut : h - cut, cut : w - cut], h - 2 * cut, w - 2 * cut
        joined = ops.reshape(maps, (batch, rows, columns, h, w, channels))
        joined = ops.transpose(joined, (0, 1, 3, 2, 4, 5))
        joined = ops.reshape(joined, (batch, rows * h, columns * w, channels))
        return joined[:, : -(-height * h // self.step), : -(-width * w // self.step)]

    def compute_output_shape(self, maps_shape, images_shape):
        (batch, *image, _), (_, *tile, channels) = images_shape, maps_shape
        sides = (None if side is None else -(-side * n // self.side) for side, n in zip(image, tile))
        return batch, *sides, channels


def tiled(backbone: keras.Model, taps: Sequence[str] | str = "auto", margin: int = 0) -> keras.Model:
    """The backbone for images of any size and shape, which it reads in tiles of the size that it takes.

    The maps of the tiles are put together to one map of the image, `(b, h, w, c)`, in a layer called `tiles`.
    So `attend` of it attends over the whole image, and evidence is exact for each place of it. Layers and
    weights are shared with the backbone. At the borders of a tile the backbone sees zeros, which makes the
    places there strange, and an object is cut in two; a margin helps.

    Args:
        backbone: a model of square images of a fixed size.
        taps: the one layer whose map is taken, as for `attend`.
        margin: pixels on each side of overlapping tiles that are left out, a multiple of those of a place.

    Raises:
        UserError: the backbone takes images of any size, or its map does not divide a tile or a margin.

    Example:
        >>> mobilenet = keras.applications.MobileNetV2
        >>> backbone = tiled(mobilenet(include_top=False, weights=None, input_shape=(64, 64, 3)))
        >>> tuple(backbone(np.zeros((1, 100, 150, 3))).shape)
        (1, 4, 5, 1280)
    """
    model, local, _ = find_taps(backbone, taps, None, levels=1)
    height, width, channels = model.inputs[0].shape[1:]
    if height is None or height != width:
        raise UserError(f"{backbone.name} takes images of {(height, width)}; tiles need a square, fixed size")
    if len(local) != 1:
        raise UserError(f"tiles have one tap; got {', '.join(local)}")
    (features,) = local.values()
    rows = features.shape[1]
    if not rows or height % rows:
        raise UserError(f"tiles of {height} pixels are not divided by a map of {rows} rows")
    place = height // rows
    if margin % place or not 0 <= 2 * margin < height:
        raise UserError(f"a margin is 0, {place}, {2 * place} and so on, less than half a tile; got {margin}")
    images = keras.Input((None, None, channels), name="images")
    inside = keras.Model(model.inputs[0], features, name=model.name)
    maps = inside(Tiles(height, margin, name=CUT)(images))
    joined = JoinTiles(height, margin, name=TILES)(maps, images)
    return keras.Model(images, joined, name=f"tiled_{model.name}")


def reads_tiles(model: keras.Model) -> bool:
    """Whether it is a model on a `tiled` backbone."""
    return any(isinstance(layer, JoinTiles) for layer in all_layers(model))


class Places(NamedTuple):
    """What a class head says of one image, as `evidence_model`: numbers `(k,)`, and maps `(h, w, k)`."""

    logits: np.ndarray
    attention: np.ndarray
    evidence: np.ndarray
    rest: np.ndarray


class TiledModel:
    """A classifier with a class head on a `tiled` backbone, for images that come in bands: of each place it
    keeps what probe and class attention say, not the features. Its numbers are those of `evidence_model` up
    to rounding."""

    def __init__(self, model: keras.Model):
        levels = find_weighted_levels(model)
        if not reads_tiles(model) or levels is None:
            raise UserError(f"{model.name} does not read images in tiles with a class head")
        self._levels, self._model = levels, model
        self._cut = next(layer for layer in all_layers(model) if isinstance(layer, Tiles))
        self.side: int = self._cut.side
        self._network = _of_one_tile(model)
        self._network.jit_compile = False  # Keras's own choice is XLA on a GPU, also where it aborts

    def features(self, bands: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """The features `(h, w, c)` of each row of tiles of an image, which comes in bands `(any, W, 3)`."""
        side, margin, step = self.side, self._cut.margin, self._cut.step
        for rows, valid in self._rows_of_tiles(bands):
            width = rows.shape[1]
            columns = np.arange(-(-width // step))[:, None] * step + np.arange(side) - margin
            tiles = rows[:, np.clip(columns, 0, width - 1)].swapaxes(0, 1).astype("float32")
            filled = np.concatenate([tiles, np.zeros((-len(tiles) % AT_ONCE, *tiles.shape[1:]), "float32")])
            parts = np.split(filled, len(filled) // AT_ONCE)
            found = np.concatenate([self._network.predict_on_batch(part) for part in parts])
            maps = found[: len(tiles)].astype("float32")
            count = maps.shape[1]
            cut = margin * count // side
            maps = maps[:, cut : count - cut, cut : count - cut].swapaxes(0, 1)
            joined = maps.reshape(len(maps), -1, maps.shape[-1])
            yield joined[: -(-valid * count // side), : -(-width * count // side)]

    def _rows_of_tiles(self, bands: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, int]]:
        """Pixels `(side, W, 3)` for each row of tiles, and how many of them are its own and of the image."""
        side, step, seen, begun = self.side, self._cut.step, 0, 0
        waiting = np.empty(0)
        for band in bands:
            above = waiting if seen else np.repeat(band[:1], self._cut.margin, axis=0)
            waiting, seen = np.concatenate([above, band]), seen + len(band)
            while len(waiting) >= side:
                yield waiting[:side], step
                waiting, begun = waiting[step:], begun + step
        while begun < seen:
            below = np.repeat(waiting[-1:], max(0, side - len(waiting)), axis=0)
            yield np.concatenate([waiting, below])[:side], min(step, seen - begun)
            waiting, begun = waiting[step:], begun + step

    def answer(self, bands: Iterable[np.ndarray]) -> Places:
        """Logits and maps of an image; the bands need not be in memory together."""
        layer, convert = self._model.get_layer, keras.ops.convert_to_numpy
        scale, shift = map(convert, layer(LOCAL + TILES).affine())
        (probe, bias), (scores, offset) = (layer(name).get_weights() for name in (PROBE, SCORES + TILES))
        of_probe, of_scores = [], []
        for features in self.features(bands):
            x = features * scale + shift
            of_probe.append(x @ probe)
            of_scores.append(x @ scores + offset)
        votes, local = np.concatenate(of_probe), np.concatenate(of_scores)
        alpha, gamma = convert(self._levels.weight)
        attention = np.exp(local - local.max(axis=(0, 1)))
        attention /= attention.sum(axis=(0, 1))
        evidence = alpha * votes / (votes.shape[0] * votes.shape[1]) + gamma * attention * local
        rest = alpha * bias
        logits = evidence.sum(axis=(0, 1)) + rest
        if len(logits) > 1 and getattr(self._model, "activation", "softmax") == "softmax":
            evidence, rest = evidence - evidence.mean(axis=-1, keepdims=True), rest - rest.mean()
        return Places(logits, attention, evidence, rest)


def _of_one_tile(model: keras.Model) -> keras.Model:
    """From the pixels of tiles to their maps: what stands before the cut, if anything, and the backbone."""
    graphs = [model, *filter(is_graph, all_layers(model))]
    graph = next(graph for graph in graphs if CUT in {layer.name for layer in graph.layers})
    inner, outer = ({node.operation.name: node for node in graph_nodes(g)} for g in (graph, model))
    inside = keras.Model(inner[CUT].output_tensors[0], inner[TILES].input_tensors[0])
    before = (inner[CUT] if graph is model else outer[graph.name]).input_tensors[0]
    tiles = keras.Input(inside.input_shape[1:], name="tiles")
    is_image = any(before is image for image in model.inputs)
    return keras.Model(tiles, inside(tiles if is_image else keras.Model(model.input, before)(tiles)))
