"""Post-hoc explanations of any classifier: the Grad-CAM family and SmoothGrad of tf-keras-vis."""

import warnings
from collections.abc import Callable
from functools import partial

import keras
import numpy as np
import tensorflow as tf
from tf_keras_vis.gradcam import Gradcam
from tf_keras_vis.gradcam_plus_plus import GradcamPlusPlus
from tf_keras_vis.saliency import Saliency
from tf_keras_vis.scorecam import Scorecam

from attention_keras.evaluation.subjects.views import explained_layer, logits_view, predict_batches

SMOOTH_SAMPLES, SMOOTH_NOISE = 16, 0.2
MOST_CHANNELS = 64
"""Above this many channels, Score-CAM uses the most varied ones of each image (Faster Score-CAM)."""


def post_hoc_maps(
    method: str, model: keras.Model, images: np.ndarray, targets: np.ndarray, batch_size: int, seed: int
) -> dict[str, np.ndarray]:
    """Method -> maps `(n, h, w)` of what speaks for the targets; an image's do not depend on the others."""
    call, at_once = METHODS[method](logits_view(model), explained_layer(model), batch_size, seed)
    parts = []
    for start in range(0, len(images), at_once):
        rows = np.arange(start, min(start + at_once, len(images)))
        with warnings.catch_warnings():
            # tf-keras-vis passes a list where the model names its input.
            warnings.filterwarnings("ignore", "The structure of `inputs`", UserWarning)
            parts.append(call(np.asarray(images[rows], "float32"), np.asarray(targets)[rows], rows))
    return {method: np.maximum(np.concatenate(parts).astype("float64"), 0)}


def _logit(targets: np.ndarray) -> Callable:
    """What the explanation is of: each image's logit of its target."""
    return lambda logits: tf.gather(logits, targets, batch_dims=1)


def _shifted_logit(targets: np.ndarray) -> Callable:
    """Grad-CAM++ takes exp(logit), which overflows; a shift of the logit only scales an image's map."""
    return lambda logits: _logit(targets)(logits) - tf.stop_gradient(_logit(targets)(logits))


def _cam(tool: type, score: Callable, model, layer, batch_size, seed=0):
    cam = tool(model, clone=False)
    raw = {"seek_penultimate_conv_layer": False, "expand_cam": False, "normalize_cam": False}

    def call(images, targets, rows, **settings):
        return np.asarray(cam(score(targets), images, penultimate_layer=layer, **raw, **settings))

    return call, batch_size


def _scorecam(model, layer, batch_size, seed):
    view = keras.Model(model.input, model.output)
    # It calls `predict`; so it shows no bar, and is sooner done.
    view.predict = lambda inputs, batch_size: predict_batches(view, inputs[0], batch_size)
    cam, _ = _cam(Scorecam, _logit, view, layer, batch_size)
    fast = model.get_layer(layer).output.shape[-1] > MOST_CHANNELS
    settings = {"max_N": MOST_CHANNELS if fast else None, "batch_size": min(batch_size, 256)}

    def call(images, targets, rows):
        # K.batch_dot does not take a batch of one, so a lone image is doubled.
        repeats = 2 if len(images) == 1 else 1
        maps = cam(images.repeat(repeats, axis=0), targets.repeat(repeats), rows, **settings)
        return maps[: len(images)]

    # The library picks channels for a whole batch, so that with a pick each image is a batch.
    return call, 1 if fast else min(batch_size, 16)


def _smoothgrad(model, layer, batch_size, seed):
    """SmoothGrad (Smilkov et al. 2017) with noise that is a function of the image's number only."""
    saliency = Saliency(model, clone=False)

    def call(images, targets, rows):
        shape = (SMOOTH_SAMPLES, *images.shape[1:])
        noise = np.stack([np.random.default_rng([seed, row]).normal(size=shape) for row in rows.tolist()])
        spread = SMOOTH_NOISE * np.ptp(images, axis=(1, 2, 3))
        noisy = images[:, None] + noise * spread[:, None, None, None, None]
        flat = noisy.reshape(-1, *images.shape[1:]).astype("float32")
        gradients = saliency(_logit(np.repeat(targets, SMOOTH_SAMPLES)), flat, normalize_map=False)
        return np.asarray(gradients).reshape(noisy.shape[:-1]).mean(axis=1)

    return call, max(1, batch_size // SMOOTH_SAMPLES)


METHODS = {
    "Grad-CAM": partial(_cam, Gradcam, _logit),
    "Grad-CAM++": partial(_cam, GradcamPlusPlus, _shifted_logit),
    "Score-CAM": _scorecam,
    "SmoothGrad": _smoothgrad,
}
"""Name -> what makes its maps, and how many images it takes at once."""
