import numpy as np
import pytest

from attention_keras.data.digits import SCENES, generate_scenes, source_digits


@pytest.fixture(scope="module")
def train():
    return generate_scenes("train", 2000)


@pytest.fixture(scope="module")
def test():
    return generate_scenes("test", 500)


def test_shapes_types_and_every_class(train):
    assert train.images.shape == (2000, 32, 32, 3) and train.images.dtype == np.uint8
    assert train.labels.dtype == np.int32 and train.masks.dtype == bool and train.boxes.dtype == np.float32
    assert np.bincount(train.labels).min() > 120


def test_a_prefix_is_a_prefix(train):
    again = generate_scenes("train", 300)
    for field in ("images", "labels", "masks", "boxes"):
        np.testing.assert_array_equal(getattr(again, field), getattr(train, field)[:300])


def test_no_scan_is_in_two_splits():
    rows = [source_digits(split)[2] for split in SCENES]
    assert len(np.unique(np.concatenate(rows))) == sum(map(len, rows)) == 1797
    scans = [{scan.tobytes() for scan in source_digits(split)[0]} for split in SCENES]
    assert not scans[0] & scans[1] and not scans[0] & scans[2] and not scans[1] & scans[2]


def test_boxes_are_tight_around_masks(test):
    for mask, (y0, x0, y1, x1) in zip(test.masks, test.boxes.astype(int)):
        rows, columns = np.nonzero(mask)
        assert (y0, x0, y1, x1) == (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
    heights = test.boxes[:, 2] - test.boxes[:, 0]
    assert heights.min() >= 12 and heights.max() <= 24
