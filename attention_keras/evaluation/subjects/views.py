"""What a trained network gives on many images, and other networks made from it."""

import math
from collections.abc import Callable, Sequence

import keras
import numpy as np
from scipy.special import softmax

from attention_keras.errors import NotApplicable, UserError
from attention_keras.explaining.explain import in_batches
from attention_keras.explaining.explanation import Explanation
from attention_keras.layers.attention_pool import AttentionPool
from attention_keras.models.class_head import PROBE
from attention_keras.models.copies import copy_weights, rewritten

CLASSIFIER = "classifier"
# Where Grad-CAM and its kin look when there is no attention: the end of the last stage.
_LAST_STAGE = ("conv13", "stage3")


def predict_batches(model: keras.Model, images: np.ndarray, batch_size: int):
    """What `model.predict` gives of float32 images, but sooner: it makes no tf.data pipeline."""
    return in_batches(lambda batch: model.predict_on_batch(batch.astype("float32")), images, batch_size)


def evidence_in_batches(
    explain: Callable[..., Explanation], images: np.ndarray, classes: Sequence[int], batch_size: int
) -> dict[str, np.ndarray]:
    """Signed evidence of each tap for the classes; of several taps, last, also of `all`, at image size."""

    def call(pixels: np.ndarray, asked: np.ndarray) -> dict[str, np.ndarray]:
        found = explain(pixels, asked)
        return found.evidence | ({"all": found.total} if len(found.evidence) > 1 else {})

    return in_batches(call, (images, np.asarray(classes)), batch_size)


def logits_view(model: keras.Model) -> keras.Model:
    """images -> logits `(b, k)`, without the attention outputs."""
    return keras.Model(model.input, model.output["logits"])


def softmax_batches(
    logits_model: keras.Model, images: np.ndarray, batch_size: int, temperature: float = 1.0
) -> np.ndarray:
    """Probabilities `(n, k)` of pixels `(n, h, w, 3)`."""
    return softmax(predict_batches(logits_model, images, batch_size).astype("float64") / temperature, axis=-1)


def explained_layer(model: keras.Model) -> str:
    """The layer that is explained: under the deepest attention, or averaged, or the last with a map."""
    pools = [layer for layer in model.layers if isinstance(layer, AttentionPool)]
    if pools:
        # The order of a graph's layers is not their depth; the deepest level has the smallest map.
        deepest = min(reversed(pools), key=lambda pool: math.prod(pool.input[0].shape[1:3]))
        return deepest.input[0]._keras_history.operation.name
    if averaged := _averaged(model):
        return averaged[0].input._keras_history.operation.name
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    shapes = {layer.name: getattr(layer.output, "shape", ()) for layer in layers}
    maps = [name for name, shape in shapes.items() if len(shape) == 4 and max(shape[1:3]) > 1]
    if not maps:
        raise NotApplicable(f"{model.name} has no feature map to explain")
    return next((name for name in _LAST_STAGE if name in shapes), maps[-1])


def cam_parts(model: keras.Model) -> tuple[keras.Model, np.ndarray] | None:
    """Of a linear classifier of an averaged map: a model of the map `(b, h, w, c)`, its kernel `(c, k)`."""
    averaged = _averaged(model)
    return averaged and (keras.Model(model.input, averaged[0].input), np.asarray(averaged[1].kernel))


def _averaged(model: keras.Model) -> tuple[keras.layers.Layer, keras.layers.Dense] | None:
    """The average pooling of a map and the linear classifier right after it, such as a class head's probe."""
    pools = {id(p.output): p for p in model.layers if isinstance(p, keras.layers.GlobalAveragePooling2D)}
    for layer in model.layers:
        if layer.name in (CLASSIFIER, PROBE) and id(layer.input) in pools:
            return pools[id(layer.input)], layer
    return None


def descriptor_model(model: keras.Model) -> keras.Model:
    """pixels -> what the classifier or probe sees `(b, c)`, of `indep` all levels side by side."""
    dense = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    final = [d for d in dense if d.name.startswith((CLASSIFIER, PROBE)) and d.name != "classifier_hidden"]
    if not final:
        raise UserError(f"{model.name} has no layer named classifier, whose input would be the descriptor")
    inputs = [layer.input for layer in final]
    features = inputs[0] if len(inputs) == 1 else keras.layers.Concatenate()(inputs)
    return keras.Model(model.input, features)


def randomized(model: keras.Model, seed: int = 0) -> keras.Model:
    """The same network, newly initialised; statistics of pixel normalisation stay (Adebayo et al. 2018).

    Seeds are set by hand, since an initialiser's own would give back the weights that training began with.
    """
    generator = np.random.default_rng(seed)

    def seeded(part):
        new = isinstance(part, dict) and "seed" in part
        return part | {"seed": int(generator.integers(2**31))} if new else part

    copy = keras.models.clone_model(
        model, clone_function=lambda layer: type(layer).from_config(rewritten(layer.get_config(), seeded))
    )
    for old, new in zip(model.layers, copy.layers):
        if not new.trainable_weights:
            copy_weights(old, new)
    return copy
