"""Post-hoc explanations of any classifier: the Grad-CAM family and SmoothGrad of tf-keras-vis."""

import importlib
import warnings
from collections.abc import Callable

import keras
import numpy as np

from attention_keras.errors import UserError
from attention_keras.evaluation.subjects.batches import predict_batches
from attention_keras.extras import needs

SMOOTH_SAMPLES, SMOOTH_NOISE = 16, 0.2
MOST_CHANNELS = 64
"""Above this many channels, Score-CAM uses the most varied ones of each image (Faster Score-CAM)."""


def explain(
    method: str,
    logits_model: keras.Model,
    layer: str,
    images: np.ndarray,
    targets: np.ndarray,
    *,
    batch_size: int = 32,
    seed: int = 0,
) -> np.ndarray:
    """Maps of what speaks for `targets`, not negative, at the method's own resolution.

    The result for an image does not depend on the images around it.

    Args:
        method: one of `METHODS`.
        logits_model: pixels -> logits `(b, k)`, in float32.
        layer: name of the layer with the map that CAM methods weigh.
        images: `(n, h, w, 3)` pixels.
        targets: `(n,)` class of each image.
        batch_size: images at a time.
        seed: of SmoothGrad's noise.

    Returns:
        `(n, h', w')` float64.

    Raises:
        UserError: unknown method, or tf-keras-vis is not installed.
    """
    if method not in METHODS:
        raise UserError(f"unknown method {method!r}; allowed: {', '.join(METHODS)}")
    call, at_once = METHODS[method](logits_model, layer, batch_size, seed)
    parts = []
    for start in range(0, len(images), at_once):
        rows = np.arange(start, min(start + at_once, len(images)))
        with warnings.catch_warnings():
            # tf-keras-vis passes a list where the model names its input.
            warnings.filterwarnings("ignore", "The structure of `inputs`", UserWarning)
            parts.append(call(np.asarray(images[rows], "float32"), np.asarray(targets)[rows], rows))
    return np.maximum(np.concatenate(parts).astype("float64"), 0)


def _tool(module: str, name: str):
    with needs("this explanation", extra="evaluate"):
        return getattr(importlib.import_module(f"tf_keras_vis.{module}"), name)


def _score(targets: np.ndarray) -> Callable:
    """What the explanation is of: each image's logit (or probability) of its target."""
    import tensorflow as tf

    return lambda outputs: tf.gather(outputs, targets, batch_dims=1)


def _gradcam(model, layer, batch_size, seed):
    return _cam(_tool("gradcam", "Gradcam")(model, clone=False), layer), batch_size


def _gradcam_plus_plus(model, layer, batch_size, seed):
    """The method takes exp(logit), which overflows; a shift of the logit only scales an image's map."""
    import tensorflow as tf

    def score(targets):
        def shifted(outputs):
            logits = tf.gather(outputs, targets, batch_dims=1)
            return logits - tf.stop_gradient(logits)

        return shifted

    tool = _tool("gradcam_plus_plus", "GradcamPlusPlus")(model, clone=False)
    return _cam(tool, layer, score), batch_size


def _cam(tool, layer, score=_score):
    def call(images, targets, rows):
        return tool(
            score(targets),
            images,
            penultimate_layer=layer,
            seek_penultimate_conv_layer=False,
            expand_cam=False,
            normalize_cam=False,
        )

    return call


def _scorecam(model, layer, batch_size, seed):
    tool = _tool("scorecam", "Scorecam")(_quiet(model), clone=False)
    channels = model.get_layer(layer).output.shape[-1]
    fast = channels > MOST_CHANNELS

    def call(images, targets, rows):
        # K.batch_dot does not take a batch of one, so a lone image is doubled.
        twice = np.repeat(images, 2, axis=0) if len(images) == 1 else images
        asked = np.repeat(targets, 2) if len(images) == 1 else targets
        maps = tool(
            _score(asked),
            twice,
            penultimate_layer=layer,
            seek_penultimate_conv_layer=False,
            max_N=MOST_CHANNELS if fast else None,
            batch_size=min(batch_size, 256),
            expand_cam=False,
            normalize_cam=False,
        )
        return np.asarray(maps)[: len(images)]

    # The library picks channels for a whole batch, so that with a pick each image is a batch.
    return call, 1 if fast else min(batch_size, 16)


def _quiet(model: keras.Model) -> keras.Model:
    """A view of the model whose `predict` shows no bar, and is sooner done."""
    view = keras.Model(model.input, model.output)
    view.predict = lambda inputs, batch_size: predict_batches(view, inputs[0], batch_size)
    return view


def _smoothgrad(model, layer, batch_size, seed):
    """SmoothGrad (Smilkov et al. 2017) with noise that is a function of the image's number only."""
    tool = _tool("saliency", "Saliency")(model, clone=False)

    def call(images, targets, rows):
        noise = [
            np.random.default_rng([seed, row]).normal(size=(SMOOTH_SAMPLES, *images.shape[1:]))
            for row in rows.tolist()
        ]
        spread = SMOOTH_NOISE * (images.max(axis=(1, 2, 3)) - images.min(axis=(1, 2, 3)))
        noisy = images[:, None] + np.stack(noise) * spread[:, None, None, None, None]
        gradients = tool(
            _score(np.repeat(targets, SMOOTH_SAMPLES)),
            noisy.reshape(-1, *images.shape[1:]).astype("float32"),
            normalize_map=False,
        )
        return np.asarray(gradients).reshape(len(images), SMOOTH_SAMPLES, *images.shape[1:3]).mean(axis=1)

    return call, max(1, batch_size // SMOOTH_SAMPLES)


METHODS = {
    "Grad-CAM": _gradcam,
    "Grad-CAM++": _gradcam_plus_plus,
    "Score-CAM": _scorecam,
    "SmoothGrad": _smoothgrad,
}
"""Name -> what makes its maps."""
