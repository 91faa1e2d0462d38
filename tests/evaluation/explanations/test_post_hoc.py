"""Explanations: CAM by hand, Grad-CAM against CAM where theory says they agree, no influence of the batch."""

import keras
import numpy as np
import pytest

from attention_keras import build_model
from attention_keras.errors import UserError
from attention_keras.evaluation.explanations.cam import class_activation_maps
from attention_keras.evaluation.explanations.post_hoc import METHODS, explain
from attention_keras.evaluation.subjects.views import cam_parts, explained_layer


@pytest.fixture
def gap():
    keras.utils.set_random_seed(0)
    return build_model("vgg-gap", (16, 16, 3), width=0.05, init="keras")


@pytest.fixture
def images():
    return np.random.default_rng(0).uniform(0, 255, (5, 16, 16, 3)).astype("float32")


def test_grad_cam_of_a_gap_network_is_its_cam(gap, images):
    """Selvaraju et al. 2017, section 3.1: for global average pooling the two differ by a factor."""
    extract, kernel = cam_parts(gap)
    targets = np.array([0, 1, 2, 3, 4])
    cam = class_activation_maps(np.asarray(extract(images)), kernel, targets)
    logits = keras.Model(gap.input, gap.output["logits"])
    grad_cam = explain("Grad-CAM", logits, explained_layer(gap), images, targets)
    np.testing.assert_allclose(grad_cam * np.prod(cam.shape[1:]), cam, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_an_image_is_explained_alike_in_any_batch(gap, images, method):
    logits = keras.Model(gap.input, gap.output["logits"])
    layer = explained_layer(gap)
    targets = np.array([3, 1, 4, 1, 5])
    together = explain(method, logits, layer, images, targets)
    alone = explain(method, logits, layer, images, targets, batch_size=1)
    assert together.shape[0] == 5 and (together >= 0).all()
    np.testing.assert_allclose(together, alone, atol=1e-4 * together.max())
    other = explain(method, logits, layer, images, (targets + 1) % 10)
    assert np.abs(other - together).max() > 1e-3 * together.max()


def test_unknown_method(gap, images):
    with pytest.raises(UserError, match="allowed: Grad-CAM"):
        explain("Grad-Cam", gap, "conv13", images, np.zeros(5, int))
