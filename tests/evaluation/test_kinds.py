"""Which maps a network has, which stand for it, and maps of several kinds side by side."""

import keras
import numpy as np
import pytest
from small_classifier import small

from attention_keras import attend, evidence_model
from attention_keras.errors import NotApplicable
from attention_keras.evaluation.kinds import CAM, EVIDENCE, RANDOM, compute_maps, kinds_of, locating_kinds
from attention_keras.evaluation.kinds import shown_kinds as shown_of
from attention_keras.evaluation.post_hoc import METHODS, post_hoc_maps
from attention_keras.evaluation.subjects.views import descriptor_model

IMAGES = np.random.default_rng(0).uniform(0, 255, (3, 32, 32, 3)).astype("float32")


def test_kinds_of_a_network(without_evidence):
    """The kinds that only it has; those that stand for it in a figure; what these are compared with."""
    own = ["attention", "evidence"]
    for name, first, shown, compared in (
        ("vgg-att2-concat-dp", own, own, [*own, "Grad-CAM"]),
        ("vgg-gap", ["evidence", "CAM"], ["evidence"], ["evidence", "CAM"]),
        ("vgg", ["evidence"], ["evidence"], ["evidence", "Grad-CAM"]),
        (None, [], ["Grad-CAM"], ["Grad-CAM"]),
    ):
        model = small(name) if name else without_evidence
        assert [kind.name for kind in kinds_of(model)] == [*first, *METHODS, "random"]
        assert [kind.name for kind in shown_of(model)] == shown
        assert [kind.name for kind in locating_kinds(model)] == compared
        asked = ["evidence"] * ("evidence" in first) + ["random"]
        assert [kind.name for kind in kinds_of(model, ["random", "evidence"])] == asked
    with pytest.raises(NotApplicable, match="swished has no evidence or CAM"):
        kinds_of(without_evidence, ["evidence", "CAM"])


def test_the_cam_of_a_class_heads_probe_adds_up_to_its_logits():
    """Positive features and weights, so that nothing is cut off."""
    images = keras.Input((8, 8, 3))
    features = keras.layers.Conv2D(4, 3, activation="relu", name="conv")(images)
    model = attend(keras.Model(images, features), ["conv"], num_classes=3, head="class")
    probe = model.get_layer("probe")
    probe.set_weights([np.random.default_rng(0).random((4, 3)), np.array([1.0, 2.0, 3.0])])
    pixels, targets = IMAGES[:, :8, :8], np.array([2, 0, 1])
    (cam,) = compute_maps([CAM], model, pixels, targets).values()
    logits = model(pixels)["level_logits"][:, 0].numpy()[range(3), targets]
    assert cam.shape == (3, 6, 6) and cam.std() > 0
    np.testing.assert_allclose(cam.mean((1, 2)) + [3, 1, 2], logits, rtol=1e-5)
    assert "CAM" in [kind.name for kind in kinds_of(model)]
    assert descriptor_model(model).output.shape == (None, 4)


def test_maps_side_by_side():
    model = small("vgg-att2-concat-dp")
    maps = compute_maps(kinds_of(model, ("attention", "Grad-CAM", "random")), model, IMAGES, np.arange(3))
    shapes = {"attention conv10": (16, 16), "attention conv13": (8, 8), "Grad-CAM": (8, 8), "random": (8, 8)}
    assert {name: level.shape[1:] for name, level in maps.items()} == shapes
    np.testing.assert_allclose(maps["attention conv13"], model(IMAGES)["attention_conv13"], atol=1e-6)
    again, other = (RANDOM.compute(model, IMAGES[:2], [5, 6], 1, seed)["random"] for seed in (0, 1))
    np.testing.assert_array_equal(again, maps["random"][:2])
    assert np.abs(other - again).max() > 0.1


def test_evidence_is_of_the_class_asked_and_adds_up_over_taps():
    model, targets, other = small("vgg-att2-concat-dp"), np.array([0, 7, 2]), np.array([4, 4, 4])
    maps, rival = (EVIDENCE.compute(model, IMAGES, asked, 2, 0) for asked in (targets, other))
    assert [level.shape for level in maps.values()] == [(3, 16, 16), (3, 8, 8), (3, 32, 32)]
    parts = maps["conv10"].sum((1, 2)) + maps["conv13"].sum((1, 2))
    np.testing.assert_allclose(maps["all"].sum((1, 2)), parts, atol=1e-5)
    outputs = evidence_model(model)(IMAGES)
    expected = [outputs["evidence_conv13"][row, ..., target] for row, target in enumerate(targets)]
    np.testing.assert_allclose(maps["conv13"], expected, atol=1e-6)
    # For one class rather than another: the difference of their logits, less that of the rest.
    logits = np.asarray(outputs["logits"] - outputs["evidence_rest"])
    difference = logits[range(3), targets] - logits[range(3), other]
    np.testing.assert_allclose((maps["all"] - rival["all"]).sum((1, 2)), difference, atol=1e-5)


def test_grad_cam_of_a_gap_network_is_its_cam():
    """Selvaraju et al. 2017, section 3.1: for global average pooling the two differ by a factor."""
    model = small("vgg-gap")
    cam, grad_cam = compute_maps(kinds_of(model, ("CAM", "Grad-CAM")), model, IMAGES, np.arange(3)).values()
    assert np.abs(cam).max() > 0
    np.testing.assert_allclose(grad_cam * np.prod(cam.shape[1:]), cam, rtol=1e-3, atol=1e-6 * cam.max())


def test_an_image_is_explained_alike_in_any_batch():
    model, targets = small("vgg-gap"), np.array([3, 1, 4])
    for method in METHODS:
        together, alone, other = (
            post_hoc_maps(method, model, IMAGES, asked, size, 0)[method]
            for asked, size in ((targets, 32), (targets, 1), ((targets + 1) % 10, 32))
        )
        assert together.shape[0] == 3 and (together >= 0).all()
        np.testing.assert_allclose(together, alone, atol=1e-4 * together.max(), err_msg=method)
        assert np.abs(other - together).max() > 1e-3 * together.max(), method
