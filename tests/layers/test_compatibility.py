"""CompatibilityScore and AttentionPool against float64 loops in NumPy, and their invariances."""

import keras
import numpy as np
import pytest

from attention_keras.layers import AttentionPool, CompatibilityScore, LevelEnsemble, ProgressiveGate
from attention_keras.models.blocks import Builder

KINDS = ("dp", "pc", "scaled", "additive", "mean")
# JAX compiles every operation for every shape.
SHAPES = 10 if keras.backend.backend() == "jax" else 50


def numpy(tensor):
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def score_oracle(kind, local, g, u, bias):
    """One position and one channel at a time, in float64."""
    b, h, w, c = local.shape
    scores = np.zeros((b, h, w))
    if kind == "scaled":
        g = g / np.sqrt((g**2).mean(axis=1, keepdims=True) + 1e-6) / np.sqrt(c)
    for i, y, x in np.ndindex(b, h, w):
        for k in range(c):
            if kind in ("dp", "scaled"):
                scores[i, y, x] += local[i, y, x, k] * g[i, k]
            elif kind == "pc":
                scores[i, y, x] += u[k] * (local[i, y, x, k] + g[i, k])
            elif kind == "additive":
                scores[i, y, x] += u[k] * np.tanh(local[i, y, x, k] + g[i, k])
        if kind in ("pc", "additive"):
            scores[i, y, x] += bias
    return scores


def pool_oracle(normalization, local, scores):
    b, h, w, c = local.shape
    attention, descriptor = np.zeros((b, h, w)), np.zeros((b, c))
    for i in range(b):
        if normalization == "softmax":
            exponentials = np.exp(scores[i] - scores[i].max())
            attention[i] = exponentials / exponentials.sum()
            weights = attention[i]
        else:
            attention[i] = 1 / (1 + np.exp(-scores[i]))
            weights = attention[i] / (h * w)
        for y, x in np.ndindex(h, w):
            descriptor[i] += weights[y, x] * local[i, y, x]
    return descriptor, attention


def random_case(rng):
    b, h, w, c = rng.integers(1, (6, 10, 10, 18))
    return rng.normal(size=(b, h, w, c)), rng.normal(size=(b, c))


@pytest.mark.parametrize("kind", KINDS)
def test_scores_and_attention_match_the_oracle_on_random_shapes(kind):
    rng = np.random.default_rng(KINDS.index(kind))
    for case in range(SHAPES):  # 1x1 maps are among them
        local, g = random_case(rng) if case else (rng.normal(size=(2, 1, 1, 3)), rng.normal(size=(2, 3)))
        layer = CompatibilityScore(kind)
        scores = numpy(layer(local.astype("float32"), g.astype("float32")))
        u, bias = np.zeros(local.shape[-1]), 0.0
        if kind in ("pc", "additive"):
            layer.bias.assign([0.3])
            scores = numpy(layer(local.astype("float32"), g.astype("float32")))
            u, bias = numpy(layer.u)[:, 0].astype("float64"), 0.3
        expected = score_oracle(kind, local, g, u, bias)
        np.testing.assert_allclose(scores, expected, atol=1e-5, rtol=1e-5)
        normalization = ("softmax", "sigmoid")[case % 2]
        descriptor, attention = AttentionPool(normalization)(local.astype("float32"), scores)
        expected_descriptor, expected_attention = pool_oracle(normalization, local, expected)
        np.testing.assert_allclose(numpy(attention), expected_attention, atol=1e-5)
        np.testing.assert_allclose(numpy(descriptor), expected_descriptor, atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_extreme_logits_in_half_precision(policy):
    scores = np.array([[[1e4, -1e4], [0.0, 1e4]]], "float32")
    for normalization, expected in (("softmax", [0.5, 0, 0, 0.5]), ("sigmoid", [1, 0, 0.5, 1])):
        pool = AttentionPool(normalization, dtype=policy)
        descriptor, attention = pool(keras.ops.ones((1, 2, 2, 3), pool.compute_dtype), scores)
        assert keras.backend.standardize_dtype(attention.dtype) == "float32"
        np.testing.assert_allclose(numpy(attention).ravel(), expected, atol=1e-6)
        assert np.isfinite(numpy(keras.ops.cast(descriptor, "float32"))).all()


def test_scores_are_float32_and_accurate_under_bfloat16():
    rng = np.random.default_rng(0)
    local = keras.ops.cast(rng.normal(size=(2, 8, 8, 512)), "bfloat16")
    g = keras.ops.cast(rng.normal(size=(2, 512)), "bfloat16")
    scores = CompatibilityScore("dp", dtype="mixed_bfloat16")(local, g)
    assert keras.backend.standardize_dtype(scores.dtype) == "float32"
    exact = np.einsum(
        "bhwc,bc->bhw", *(numpy(keras.ops.cast(x, "float32")).astype("float64") for x in (local, g))
    )
    np.testing.assert_allclose(numpy(scores), exact, atol=1e-3)  # bfloat16 sums would be off by about 0.1


def attention_gradient_to_g(kind, gradients):
    rng = np.random.default_rng(0)
    local, g, weights = (rng.normal(size=s).astype("float32") for s in ((2, 8, 8, 32), (2, 32), 32))
    layer, pool = CompatibilityScore(kind), AttentionPool()
    _, attention = pool(local, layer(local, g))

    def loss(g):
        descriptor, _ = pool(local, layer(local, g))
        return keras.ops.sum(keras.ops.multiply(descriptor, weights))

    (gradient,) = gradients(loss, g)
    _, swapped = pool(local, layer(local, g[::-1].copy()))
    return np.abs(gradient).max(), np.abs(numpy(swapped) - numpy(attention)).max()


def test_which_scores_use_g(gradients):
    """<u, g> is the same at every position, so a softmax over pc cancels it (paper_map: the dead branch)."""
    for kind, least_gradient, least_move in (
        ("dp", 0.1, 0.1),
        ("scaled", 0.1, 0.02),
        ("additive", 0.01, 0.01),
    ):
        gradient, moved = attention_gradient_to_g(kind, gradients)
        assert gradient > least_gradient and moved > least_move, kind
    gradient, moved = attention_gradient_to_g("pc", gradients)
    assert gradient < 1e-5  # the rounding of a sum that is zero; dp's is about 10
    assert moved < 1e-6


@pytest.mark.parametrize("size", [1e-2, 1.0, 1e3])
def test_scaled_scores_have_unit_variance_whatever_the_width_and_the_size_of_g(size):
    rng = np.random.default_rng(0)
    for channels in (8, 512):
        local = rng.normal(size=(64, 4, 4, channels)).astype("float32")
        g = (size * rng.normal(size=(64, channels))).astype("float32")
        spread = numpy(CompatibilityScore("scaled")(local, g)).std()
        assert spread == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("size", [0.0, 1e-4, 6e4])
def test_scaled_stays_finite_in_half_precision(dtype, size, gradients):
    """6e4 is near the largest float16: its square and its sum over channels are beyond it."""
    local = keras.ops.full((2, 4, 4, 512), 100, dtype)
    layer = CompatibilityScore("scaled", dtype=f"mixed_{dtype}")
    scores = layer(local, keras.ops.full((2, 512), size, dtype))
    assert keras.backend.standardize_dtype(scores.dtype) == "float32"
    q = size / np.sqrt(size**2 + 1e-6)
    np.testing.assert_allclose(numpy(scores), 100 * q * np.sqrt(512), rtol=1e-2, atol=1e-6)

    def mean(g):
        return keras.ops.mean(layer(local, keras.ops.cast(g, dtype)))

    (gradient,) = gradients(mean, np.full((2, 512), size, "float32"))
    assert np.isfinite(gradient).all()


def test_u_starts_as_in_the_official_code():
    layer = CompatibilityScore("pc", **Builder(init="torch").score())
    layer(np.zeros((1, 1, 1, 20000), "float32"), np.zeros((1, 20000), "float32"))
    assert numpy(layer.u).std() == pytest.approx(np.sqrt(2), rel=0.03)
    assert numpy(layer.bias) == 0


def test_errors_name_the_argument():
    def ones(*shape):
        return np.ones(shape, "float32")

    dp = CompatibilityScore("dp")
    for make, said in (
        (lambda: CompatibilityScore("cosine"), "compat must be one of dp, pc, scaled, additive, mean"),
        (lambda: AttentionPool("relu"), "normalization must be one of softmax, sigmoid; got 'relu'"),
        (lambda: dp(ones(1, 2, 2, 3), ones(1, 4)), "global_features has width 4"),
        (lambda: dp(ones(1, 2, 3), ones(1, 3)), r"local_features must be \(b, h, w"),
        (lambda: dp(ones(1, 2, 2, 3), ones(1, 1, 3)), r"global_features must be \(b"),
        (lambda: dp(ones(1, 2, 2, 3)), "global_features is needed for compat 'dp'"),
        (lambda: AttentionPool()(ones(1, 2, 2, 3), ones(1, 2, 3)), r"scores must be \(b, h, w\)"),
        (lambda: AttentionPool()(ones(1, 2, 3), ones(1, 2)), r"local_features must be"),
    ):
        with pytest.raises(ValueError, match=said):
            make()


def test_ensemble_is_the_mean_of_probabilities():
    rng = np.random.default_rng(0)
    levels = [rng.normal(size=(4, 5)).astype("float32") * 3 for _ in range(3)]
    stacked, logits = LevelEnsemble()(levels)
    softmax = [np.exp(x) / np.exp(x).sum(-1, keepdims=True) for x in levels]
    np.testing.assert_allclose(np.exp(numpy(logits)), np.mean(softmax, axis=0), atol=1e-6)
    np.testing.assert_array_equal(numpy(stacked), np.stack(levels, axis=1))


def test_gate_scales_every_position():
    local = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype("float32")
    scores = np.random.default_rng(1).normal(size=(2, 3, 4)).astype("float32")
    gated, gate = ProgressiveGate()(local, scores)
    np.testing.assert_allclose(numpy(gate), 1 / (1 + np.exp(-scores)), atol=1e-6)
    np.testing.assert_allclose(numpy(gated), local * numpy(gate)[..., None], atol=1e-6)
