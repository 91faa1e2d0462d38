"""Preprocessing layers against NumPy oracles of the official formulas."""

import keras
import numpy as np
import pytest
from small_backbones import numpy

from attention_keras.errors import UserError
from attention_keras.layers.preprocess import PREPROCESSING, RGB_TO_YUV, build_preprocess, gaussian_kernel


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (50, 12, 10, 3), dtype="uint8")


def test_pixels_from_minus_one_to_one_or_standardised(images):
    layer = build_preprocess("none", None)
    np.testing.assert_allclose(numpy(layer(np.array([[[[0.0, 127.5, 255.0]]]]))), [[[[-1, 0, 1]]]], atol=1e-6)
    out = numpy(build_preprocess("meanstd", images)(images.astype("float32")))
    np.testing.assert_allclose(out.mean(axis=(0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(out.std(axis=(0, 1, 2)), 1, atol=1e-5)


def blur(image):
    """One `(h, w)` image under the Gaussian window, with zeros outside."""
    kernel = gaussian_kernel().astype("float64")
    for axis in (0, 1):
        image = np.apply_along_axis(np.convolve, axis, image, kernel, mode="same")
    return image


def local_contrast_oracle(luma):
    """Torch's SpatialContrastiveNormalization(1, gaussian1D(7)) on one `(h, w)` image in float64."""
    share = blur(np.ones_like(luma))
    centred = luma - blur(luma) / share
    deviation = np.sqrt(blur(centred**2)) / share
    return centred / np.where(deviation > 1e-4, deviation, 1e-4)


def test_yuv_lcn_matches_the_torch_formula(images):
    # image.gaussian1D(7): exp(-((i - 4) / 1.75)^2 / 2) for i = 1..7
    gaussian = np.exp(-(((np.arange(1, 8) - 4) / 1.75) ** 2) / 2)
    np.testing.assert_allclose(gaussian_kernel(), gaussian / gaussian.sum(), rtol=1e-6)
    out = numpy(build_preprocess("yuv_lcn", images)(images.astype("float32")))
    yuv = images.astype("float64") @ RGB_TO_YUV.astype("float64")
    expected = np.stack([local_contrast_oracle(y) for y in yuv[..., 0]])
    np.testing.assert_allclose(out[..., 0], expected, atol=2e-3)
    np.testing.assert_allclose(out[..., 1:].mean(axis=(0, 1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(out[..., 1:].std(axis=(0, 1, 2)), 1, atol=1e-4)


def test_gcn_zca_matches_pylearn2(images):
    images = images[:, :6, :5]
    out = numpy(build_preprocess("gcn_zca", images)(images.astype("float32"))).reshape(50, -1)
    x = images.reshape(50, -1).astype("float64")
    x -= x.mean(axis=1, keepdims=True)
    x *= 55 / np.linalg.norm(x, axis=1, keepdims=True)
    centred = x - x.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred / 50 + 0.1 * np.eye(90))
    np.testing.assert_allclose(out, centred @ (vectors / np.sqrt(values)) @ vectors.T, atol=2e-3)


def test_a_flat_image_gives_finite_gradients_and_statistics_travel_in_the_keras_file(images, tmp_path):
    batch = images[:4, :8, :8].astype("float32")
    for kind in PREPROCESSING:
        same = keras.layers.Dense(3, use_bias=False, kernel_initializer="identity")
        model = keras.Sequential([keras.Input((8, 8, 3)), same, build_preprocess(kind, images[:, :8, :8])])
        model.compile(keras.optimizers.SGD(0.0), "mse")  # 0 times a gradient that is not finite is NaN
        model.train_on_batch(np.full((1, 8, 8, 3), 7.0), np.zeros((1, 8, 8, 3)))
        assert np.isfinite(same.get_weights()[0]).all()
        model.save(tmp_path / "m.keras")
        again = keras.models.load_model(tmp_path / "m.keras")
        np.testing.assert_array_equal(numpy(again(batch)), numpy(model(batch)))
    with pytest.raises(UserError, match="48x48"):
        build_preprocess("gcn_zca", np.zeros((2, 80, 80, 3), "uint8"))
