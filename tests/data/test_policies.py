import keras
import numpy as np
import pytest

from attention_keras.data.augmentations import POLICIES, parse_augment
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


@pytest.mark.parametrize("name", POLICIES)
def test_policies_in_the_pipeline(split, name):
    """Also with a last batch of one image."""
    images, labels = read(split, f"flip+{name}")
    plain, plain_labels = read(split, "flip")
    assert images.shape == plain.shape and images.dtype == labels.dtype == np.float32
    assert images.min() >= 0 and images.max() <= 255 and np.isfinite(images).all()
    assert (images != plain).any(axis=(1, 2, 3)).mean() > 0.5
    np.testing.assert_allclose(labels.sum(axis=1), 1, atol=1e-6)
    mixes = name in ("cutmix", "mixup")
    assert (labels != plain_labels).any() == mixes


def test_cutmix_mixes_labels_by_area():
    """Black images of class 0 and white ones of class 1: the label is the share of white pixels."""
    images = np.zeros((32, 16, 16, 3), "uint8")
    images[16:] = 255
    split = Split(images, np.repeat([0, 1], 16).astype("int32"))
    mixed, labels = next(
        iter(training_batches(split, num_classes=2, batch_size=32, seed=0, epochs=1, augment="cutmix"))
    )
    white = mixed.numpy().mean(axis=(1, 2, 3)) / 255
    assert ((white > 0.05) & (white < 0.95)).sum() > 3
    inside = np.abs(white - labels.numpy()[:, 1]) < 0.02  # a rectangle over the border counts in full
    assert inside.mean() > 0.3


def test_policies_do_not_take_the_models_precision(split):
    earlier = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        images, labels = read(split, "mixup")
    finally:
        keras.config.set_dtype_policy(earlier)
    assert images.dtype == labels.dtype == np.float32
    np.testing.assert_allclose(labels.sum(axis=1), 1, atol=1e-6)


def test_only_moves_are_repeatable():
    assert parse_augment("flip+crop").is_repeatable
    assert not parse_augment("flip+cutmix").is_repeatable
