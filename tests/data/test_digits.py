import numpy as np

from attention_keras.data.digits import SCENES, generate_scenes, source_digits


def test_scenes_are_of_every_class_with_tight_boxes_and_a_prefix_is_a_prefix():
    scenes, again = generate_scenes("train", 2000), generate_scenes("train", 300)
    assert scenes.images.shape == (2000, 32, 32, 3) and scenes.images.dtype == np.uint8
    assert scenes.labels.dtype == np.int32 and scenes.masks.dtype == bool
    assert np.bincount(scenes.labels).min() > 120
    for field in ("images", "labels", "masks", "boxes"):
        np.testing.assert_array_equal(getattr(again, field), getattr(scenes, field)[:300])
    for mask, (y0, x0, y1, x1) in zip(again.masks, again.boxes):
        rows, columns = np.nonzero(mask)
        assert (y0, x0, y1, x1) == (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
        assert 12 <= y1 - y0 <= 24


def test_no_scan_is_in_two_splits():
    rows = [source_digits(split)[2] for split in SCENES]
    assert len(np.unique(np.concatenate(rows))) == sum(map(len, rows)) == 1797
    scans = [{scan.tobytes() for scan in source_digits(split)[0]} for split in SCENES]
    assert not scans[0] & scans[1] and not scans[0] & scans[2] and not scans[1] & scans[2]
