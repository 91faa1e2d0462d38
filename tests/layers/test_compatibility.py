"""Scores, attention, gate and ensemble against float64 loops in NumPy, and their invariances."""

import keras
import numpy as np
import pytest
from small_backbones import numpy

from attention_keras.layers import AttentionPool, CompatibilityScore, LevelEnsemble, ProgressiveGate

KINDS = ("dp", "pc", "scaled", "additive", "mean")
# JAX compiles every operation for every shape.
SHAPES = 10 if keras.backend.backend() == "jax" else 50


def is_float32(tensor):
    return keras.backend.standardize_dtype(tensor.dtype) == "float32"


def score_oracle(kind, local, g, u, bias):
    """One position at a time, in float64."""
    scores = np.zeros(local.shape[:3])
    if kind == "scaled":
        g = g / np.sqrt((g**2).mean(axis=1, keepdims=True) + 1e-6) / np.sqrt(g.shape[-1])
    for i, y, x in np.ndindex(scores.shape):
        l_i = local[i, y, x]
        scores[i, y, x] = {
            "dp": l_i @ g[i],
            "scaled": l_i @ g[i],
            "pc": u @ (l_i + g[i]) + bias,
            "additive": u @ np.tanh(l_i + g[i]) + bias,
            "mean": 0.0,
        }[kind]
    return scores


def pool_oracle(normalization, local, scores):
    """By the exponentials of each image, or gates that do not know each other."""
    exponentials = np.exp(scores - scores.max((1, 2), keepdims=True))
    weights = attention = exponentials / exponentials.sum((1, 2), keepdims=True)
    if normalization == "sigmoid":
        attention = 1 / (1 + np.exp(-scores))
        weights = attention / scores[0].size
    return sum(weights[:, y, x, None] * local[:, y, x] for y, x in np.ndindex(scores.shape[1:])), attention


@pytest.mark.parametrize("kind", KINDS)
def test_scores_and_attention_match_the_oracle_on_random_shapes(kind):
    rng = np.random.default_rng(KINDS.index(kind))
    for case in range(SHAPES):  # 1x1 maps are among them
        b, h, w, c = rng.integers(1, (6, 10, 10, 18)) if case else (2, 1, 1, 3)
        local, g = rng.normal(size=(b, h, w, c)), rng.normal(size=(b, c))
        layer = CompatibilityScore(kind)
        layer.build(local.shape, g.shape)
        u, bias = np.zeros(c), 0.0
        if kind in ("pc", "additive"):
            layer.bias.assign([0.3])
            u, bias = numpy(layer.u)[:, 0].astype("float64"), 0.3
        scores = numpy(layer(local.astype("float32"), g.astype("float32")))
        expected = score_oracle(kind, local, g, u, bias)
        np.testing.assert_allclose(scores, expected, atol=1e-5, rtol=1e-5)
        normalization = ("softmax", "sigmoid")[case % 2]
        found = AttentionPool(normalization)(local.astype("float32"), scores)
        for one, other in zip(found, pool_oracle(normalization, local, expected)):
            np.testing.assert_allclose(numpy(one), other, atol=1e-5)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_low_precision_stays_finite_and_scores_and_attention_are_float32(dtype):
    scores = np.array([[[1e4, -1e4], [0.0, 1e4]]], "float32")
    for normalization, expected in (("softmax", [0.5, 0, 0, 0.5]), ("sigmoid", [1, 0, 0.5, 1])):
        pool = AttentionPool(normalization, dtype=f"mixed_{dtype}")
        descriptor, attention = pool(keras.ops.ones((1, 2, 2, 3), pool.compute_dtype), scores)
        assert is_float32(attention)
        np.testing.assert_allclose(numpy(attention).ravel(), expected, atol=1e-6)
        assert np.isfinite(numpy(keras.ops.cast(descriptor, "float32"))).all()
    inputs = keras.Input((4, 4, 512)), keras.Input((512,))
    g = keras.layers.Dense(512, use_bias=False, kernel_initializer="identity")(inputs[1])
    model = keras.Model(inputs, CompatibilityScore("scaled", dtype=f"mixed_{dtype}")(inputs[0], g))
    model.compile(keras.optimizers.SGD(0.0), "mse")  # 0 times a gradient that is not finite is NaN
    local = np.full((2, 4, 4, 512), 100, "float32")
    for size in (0.0, 1e-4, 6e4):  # near the largest float16: its square and its sum are beyond it
        given = [local, np.full((2, 512), size, "float32")]
        scores, q = model(given), size / np.sqrt(size**2 + 1e-6)
        np.testing.assert_allclose(numpy(scores), 100 * q * np.sqrt(512), rtol=1e-2, atol=1e-6)
        model.train_on_batch(given, np.zeros((2, 4, 4)))
        assert is_float32(scores) and np.isfinite(model.get_weights()[0]).all()
    rng = np.random.default_rng(0)
    local, g = (keras.ops.cast(rng.normal(size=size), dtype) for size in ((2, 8, 8, 512), (2, 512)))
    exact = (numpy(keras.ops.cast(x, "float32")).astype("float64") for x in (local, g))
    scores = CompatibilityScore("dp", dtype=f"mixed_{dtype}")(local, g)
    # Sums in bfloat16 would be off by about 0.1.
    np.testing.assert_allclose(numpy(scores), np.einsum("bhwc,bc->bhw", *exact), atol=1e-3)


def test_which_scores_use_g():
    """<u, g> is the same at every position, so a softmax over pc cancels it (paper_map: the dead branch)."""
    rng = np.random.default_rng(0)
    local, g = (rng.normal(size=s).astype("float32") for s in ((2, 8, 8, 32), (2, 32)))
    pool = AttentionPool()
    for kind, least in (("dp", 0.1), ("scaled", 0.02), ("additive", 0.01), ("pc", 0)):
        layer = CompatibilityScore(kind)
        (_, attention), (_, swapped) = (pool(local, layer(local, x)) for x in (g, g[::-1].copy()))
        moved = np.abs(numpy(swapped) - numpy(attention)).max()
        assert moved > least if least else moved < 1e-6, kind


def test_ensemble_is_the_mean_of_probabilities_and_a_gate_scales_every_position():
    rng = np.random.default_rng(0)
    levels = [rng.normal(size=(4, 5)).astype("float32") * 3 for _ in range(3)]
    stacked, logits = LevelEnsemble()(levels)
    softmax = [np.exp(x) / np.exp(x).sum(-1, keepdims=True) for x in levels]
    np.testing.assert_allclose(np.exp(numpy(logits)), np.mean(softmax, axis=0), atol=1e-6)
    np.testing.assert_array_equal(numpy(stacked), np.stack(levels, axis=1))
    local, scores = (rng.normal(size=size).astype("float32") for size in ((2, 3, 4, 5), (2, 3, 4)))
    gated, gate = (numpy(x) for x in ProgressiveGate()(local, scores))
    np.testing.assert_allclose(gate, 1 / (1 + np.exp(-scores)), atol=1e-6)
    np.testing.assert_allclose(gated, local * gate[..., None], atol=1e-6)


def test_importing_the_package_imports_no_framework_and_keras_knows_its_layers(fresh_process):
    fresh_process(
        "import importlib.util, sys, attention_keras\n"
        "heavy = {'keras', 'tensorflow', 'jax', 'torch', 'numpy', 'matplotlib'} & set(sys.modules)\n"
        "assert attention_keras.__version__ and not heavy, heavy\n"
        "importlib.util.find_spec('keras')\n"  # as TensorFlow does before it imports Keras
        "import keras\n"
        "assert 'attention_keras>CompatibilityScore' in keras.saving.get_custom_objects()"
    )


def test_what_does_not_fit_is_refused():
    dp, local = CompatibilityScore("dp"), np.ones((1, 2, 2, 3), "float32")
    with pytest.raises(ValueError, match="global_features has width 4"):
        dp(local, np.ones((1, 4), "float32"))
    with pytest.raises(ValueError, match="global_features is needed for compat 'dp'"):
        dp(local)
