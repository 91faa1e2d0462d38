"""Evidence adds up to the logits, for every network whose logits are a sum over places, on every backend."""

import keras
import numpy as np
import pytest
from keras import ops
from small_backbones import arrays, scattered

from attention_keras import attend, build_model, combine_evidence, evidence_model
from attention_keras.errors import UserError
from attention_keras.heads import LinearHead, PaperHead
from attention_keras.models.outputs import evidence_maps
from attention_keras.models.zoo import list_models

IMAGES = np.random.default_rng(0).uniform(0, 255, (3, 32, 32, 3)).astype("float32")
OF_EACH_KIND = ["vgg", "vgg-hires", "vgg-gap", "vgg-pan", "vgg-att2-indep-pc", "vgg-att3-concat-pc-3g"]
OF_EACH_KIND += ["vgg-att2-linear-scaled", "vgg-att2-concat-additive-sigmoid"]


def network(name):
    # With the two channels that a thirtieth leaves of a ResNet's stage, all ReLUs of a head may be closed.
    return scattered(build_model(name, width=0.2 if name.startswith("rn") else 0.03, init="keras"))


def outputs_of(model, *inputs):
    return arrays(model(list(inputs) if len(inputs) > 1 else inputs[0], training=False))


def relative_error(outputs):
    """Largest difference between sum of evidence and centred logits, as a share of the largest logit."""
    totals = {tap: e.astype("float64").sum((1, 2)) for tap, e in evidence_maps(outputs).items()}
    if "level_logits" in outputs:
        logits, total = outputs["level_logits"], np.stack(list(totals.values()), axis=1)
    else:
        logits, total = outputs["logits"], sum(totals.values())
    centred = logits - logits.mean(-1, keepdims=True)
    return np.abs(total + outputs["evidence_rest"] - centred).max() / np.abs(centred).max()


@pytest.mark.parametrize(
    "name",
    [
        *OF_EACH_KIND,
        *(pytest.param(n, marks=pytest.mark.slow) for n in sorted(set(list_models()) - set(OF_EACH_KIND))),
    ],
)
def test_evidence_and_rest_add_up_to_the_logits(name):
    outputs = outputs_of(evidence_model(network(name)), IMAGES)
    assert relative_error(outputs) < 1e-5
    for level in evidence_maps(outputs).values():
        assert np.abs(level).max() > 0
        # What speaks for one class speaks against the others.
        np.testing.assert_allclose(level.sum(-1), 0, atol=1e-4 * np.abs(level).max())


def small_attended(head="linear", **options):
    images = keras.Input((16, 16, 3), name="images")
    x = keras.layers.Rescaling(1 / 255)(images)
    for index, channels in enumerate((6, 8)):
        x = keras.layers.Conv2D(channels, 3, 2, padding="same")(x)
        x = keras.layers.Activation("swish", name=f"map{index}")(x)
    head = PaperHead(**options) if head == "paper" else LinearHead(**options)
    return attend(keras.Model(images, x), ["map0", "map1"], 4, head=head)


SMALL = IMAGES[:, ::2, ::2]


@pytest.mark.parametrize(
    "options",
    [{}, {"include_global": False}, {"head": "paper"}, {"head": "paper", "normalization": "sigmoid"}],
)
def test_it_is_attention_times_what_the_place_alone_would_say(options):
    """Against NumPy, place by place, in float64."""
    taps = ["map0", "map1", *(["global"] if not options else [])]
    model = scattered(small_attended(**options))
    found = outputs_of(evidence_model(model), SMALL)
    assert list(evidence_maps(found)) == taps
    kernel, bias = (w.astype("float64") for w in model.get_layer("classifier").get_weights())
    kernel, bias = kernel - kernel.mean(-1, keepdims=True), bias - bias.mean()
    row, rest = 0, bias[None].repeat(len(SMALL), 0)
    for tap in taps:
        pooled = keras.tree.flatten(model.get_layer(f"pool_{tap}").input)[0]
        local = ops.convert_to_numpy(keras.Model(model.input, pooled)(SMALL)).astype("float64")
        count = local.shape[1] * local.shape[2]
        weights = found.get(f"attention_{tap}", np.full(local.shape[:3], 1 / count)).astype("float64")
        weights = weights / count if options.get("normalization") == "sigmoid" else weights
        part = kernel[row : row + local.shape[-1]]
        row += local.shape[-1]
        scale, shift, is_open = np.ones(len(part)), np.zeros(len(part)), np.ones((len(SMALL), len(part)))
        if options.get("head") == "paper":
            gamma, beta, mean, variance = model.get_layer(f"head_{tap}_norm").get_weights()
            scale = gamma / np.sqrt(variance + 1e-5)
            shift = beta - mean * scale
            is_open = scale * np.einsum("bhw,bhwc->bc", weights, local) + shift > 0
        for image, y, x in np.ndindex(weights.shape):
            says = (is_open[image] * (scale * local[image, y, x] + shift)) @ part
            expected = weights[image, y, x] * says
            np.testing.assert_allclose(found[f"evidence_{tap}"][image, y, x], expected, atol=1e-5)
        rest += (1 - weights.sum((1, 2)))[:, None] * ((is_open * shift) @ part)
    np.testing.assert_allclose(found["evidence_rest"], rest, atol=1e-5)


def test_of_one_class_it_is_that_class_of_all():
    classes = np.array([3, 0, 2], "int32")
    for aggregate in ("concat", "indep"):
        model = scattered(small_attended(aggregate=aggregate))
        every = outputs_of(evidence_model(model), SMALL)
        predicted = outputs_of(evidence_model(model, of="predicted"), SMALL)
        asked = outputs_of(evidence_model(model, of="asked"), SMALL, classes)
        for found, chosen in ((predicted, every["logits"].argmax(-1)), (asked, classes)):
            for name in ("evidence_map0", "evidence_map1", "evidence_rest"):
                expected = np.stack([values[..., k] for values, k in zip(every[name], chosen)])
                np.testing.assert_allclose(found[name], expected, atol=1e-5)


def test_it_has_the_variables_of_the_model():
    model = small_attended(head="paper")
    assert {id(v) for v in evidence_model(model).variables} == {id(v) for v in model.variables}


def test_it_adds_up_under_low_precision():
    for policy, error in (("float16", 0.02), ("mixed_bfloat16", 0.03)):
        keras.config.set_dtype_policy(policy)
        outputs = evidence_model(scattered(small_attended()))(SMALL)
        types = {keras.backend.standardize_dtype(value.dtype) for value in outputs.values()}
        assert "mixed" not in policy or types == {"float32"}
        assert relative_error(arrays(outputs)) < error


def test_a_classifier_that_is_not_linear_any_more_is_refused():
    for change, value in (("quantize", "int8"), ("enable_lora", 2)):
        model = small_attended()
        getattr(model.get_layer("classifier"), change)(value)
        with pytest.raises(UserError, match="'classifier' is quantized, or adapted by LoRA"):
            evidence_model(model)


def test_the_combined_map_has_the_sum_of_all_taps():
    rng = np.random.default_rng(0)
    maps = {"fine": rng.normal(size=(2, 5, 7, 3)), "coarse": rng.normal(size=(2, 3, 2, 3))}
    one = {tap: level[..., 1] for tap, level in maps.items()}
    expected = sum(level.sum((1, 2)) for level in maps.values())
    for size in ((16, 16), (20, 28), (7, 5), (2, 3)):
        combined, of_one = (ops.convert_to_numpy(combine_evidence(given, size)) for given in (maps, one))
        assert combined.shape == (2, *size, 3)
        np.testing.assert_allclose(combined.sum((1, 2)), expected, atol=1e-5)
        np.testing.assert_allclose(of_one, combined[..., 1], atol=1e-6)
    level = np.zeros((1, 4, 4))  # and it is at its place
    level[0, 1, 2] = 1
    combined = ops.convert_to_numpy(combine_evidence({"tap": level}, (32, 32)))[0]
    middle = [(combined.sum(axis) * np.arange(32)).sum() for axis in (1, 0)]
    np.testing.assert_allclose(middle, [11.5, 19.5], atol=1e-4)
