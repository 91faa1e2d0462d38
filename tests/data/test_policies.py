import keras
import numpy as np
import pytest

from attention_keras.data.augmentations import POLICIES
from attention_keras.data.pipeline import training_batches
from attention_keras.data.split import Split

COUNT, CLASSES = 17, 4


@pytest.fixture(scope="module")
def split():
    images = np.random.default_rng(0).integers(0, 256, (COUNT, 16, 16, 3), dtype="uint8")
    return Split(images, (np.arange(COUNT) % CLASSES).astype("int32"))


def read(split, augment, batch_size=8):
    batches = training_batches(
        split, num_classes=CLASSES, batch_size=batch_size, seed=0, epochs=1, augment=augment
    )
    assert batches.cardinality() == -(-COUNT // batch_size)
    images, labels = zip(*batches.as_numpy_iterator())
    return np.concatenate(images), np.concatenate(labels)


@pytest.mark.parametrize("before", ["flip", "flip+cutmix"])
@pytest.mark.parametrize("name", POLICIES)
def test_policies_in_the_pipeline(split, name, before):
    """Also with a last batch of one image; they come last and leave the labels as they were."""
    images, labels = read(split, f"{name}+{before}")
    plain, plain_labels = read(split, before)
    assert images.shape == plain.shape and images.dtype == labels.dtype == np.float32
    assert images.min() >= 0 and images.max() <= 255 and np.isfinite(images).all()
    assert (images != plain).any(axis=(1, 2, 3)).mean() > 0.5
    np.testing.assert_array_equal(labels, plain_labels)


def test_gridmask_only_blacks_out(split):
    images, _ = read(split, "gridmask")
    plain, _ = read(split, "none")
    shown = (images == plain).all(axis=-1)
    assert (images[~shown] == 0).all()
    assert 0.2 < shown.mean() < 0.95


def test_policies_do_not_take_the_models_precision(split):
    earlier = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        images, labels = read(split, "gridmask")
    finally:
        keras.config.set_dtype_policy(earlier)
    assert images.dtype == labels.dtype == np.float32
