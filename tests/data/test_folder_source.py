import logging
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from attention_keras.data.datasets import load_dataset, load_pictures
from attention_keras.data.geometry import PictureFormat
from attention_keras.data.image_files import UnreadableImage, read_image
from attention_keras.errors import UserError


def save(path, value, mode="RGB", size=(12, 10), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path, **options)


def fill(root, classes="ab", count=10, first=0):
    for label, name in enumerate(classes):
        for i in range(count):
            save(root / name / f"{i:02}.png", (first + i, label, 0))


def test_class_folders_alone(tmp_path, caplog):
    fill(tmp_path, count=50)
    with caplog.at_level(logging.WARNING):
        dataset = load_dataset(f"folder:{tmp_path}", image_size=16)
    splits = [dataset.train, dataset.validation, dataset.test()]
    assert f"has no test split: {len(splits[2])} training images are set aside" in caplog.text
    assert dataset.class_names == ("a", "b") and dataset.image_shape == (16, 16, 3)
    for split, share in zip(splits, (0.72, 0.08, 0.2)):
        assert len(split) == pytest.approx(100 * share, abs=12)  # by content, so the shares are about right
        np.testing.assert_array_equal(split.images[:, 0, 0, 1], split.labels)
        assert set(split.labels) == {0, 1}
    seen = np.concatenate([split.images[:, 0, 0, 0] * 2 + split.labels for split in splits])
    np.testing.assert_array_equal(np.sort(seen), np.arange(100))


def test_test_images_are_the_same_for_every_seed(tmp_path):
    fill(tmp_path)
    one, two = (load_dataset(f"folder:{tmp_path}", seed=seed) for seed in (1, 2))
    np.testing.assert_array_equal(one.test().images, two.test().images)


def test_train_validation_and_test_folders(tmp_path):
    fill(tmp_path / "train")
    fill(tmp_path / "val", count=2, first=50)
    fill(tmp_path / "test", count=3, first=90)
    dataset = load_dataset(f"folder:{tmp_path}")
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test())] == [20, 4, 6]
    assert dataset.validation.images[:, 0, 0, 0].tolist() == [50, 50, 51, 51]
    assert load_dataset(f"folder:{tmp_path}", limit=6).train.labels.tolist() == [0, 1] * 3


def test_layouts_that_cannot_be_used(tmp_path):
    with pytest.raises(UserError, match=r"has no class folders; expected .*/CLASS/IMAGE"):
        load_dataset(f"folder:{tmp_path}")
    fill(tmp_path, classes="a")
    with pytest.raises(UserError, match="has one class only, 'a'"):
        load_dataset(f"folder:{tmp_path}")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty has no images; add some or remove the folder"):
        load_dataset(f"folder:{tmp_path}")
    fill(tmp_path / "train")
    with pytest.raises(UserError, match="so 'a' beside it must be one of train, training, validation"):
        load_dataset(f"folder:{tmp_path}")


def test_a_class_that_is_only_in_test_is_told(tmp_path):
    fill(tmp_path / "train")
    fill(tmp_path / "test", classes="ac")
    with pytest.raises(UserError, match=r"class 'c' is in .*test but not in .*train"):
        load_dataset(f"folder:{tmp_path}")


def test_broken_images_are_named_or_left_out(tmp_path, caplog):
    fill(tmp_path)
    (tmp_path / "a" / "x.jpg").write_bytes(b"no image")
    whole = (tmp_path / "a" / "00.png").read_bytes()
    (tmp_path / "b" / "y.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"2 of 22 images in .* cannot be read: a/x.jpg \(not an image\)"):
        load_dataset(f"folder:{tmp_path}")
    with caplog.at_level(logging.WARNING):
        dataset = load_dataset(f"folder:{tmp_path}", skip_broken=True)
    assert len(dataset.train) + len(dataset.validation) + len(dataset.test()) == 20
    assert "left out: 2 of 22 images" in caplog.text and "b/y.png" in caplog.text


@pytest.mark.parametrize("options", [{}, {"limit": 12}])
def test_only_a_class_that_has_lost_all_its_pictures_is_missed(tmp_path, options):
    """Not one that the test folder, or the first pictures, never had."""
    fill(tmp_path / "train", classes="abcdef")
    fill(tmp_path / "test", classes="ab")
    (tmp_path / "test" / "a" / "x.jpg").write_bytes(b"no image")
    (tmp_path / "train" / "a" / "00.png").write_bytes(b"no image")
    dataset = load_dataset(f"folder:{tmp_path}", skip_broken=True, **options)
    assert set(dataset.test().labels) <= {0, 1}
    for file in (tmp_path / "train" / "c").glob("*.png"):
        file.write_bytes(b"no image")
    with pytest.raises(UserError, match="no image of the class 'c' can be read"):
        load_dataset(f"folder:{tmp_path}", skip_broken=True)


def test_masks_of_some_pictures_are_none(tmp_path):
    """A map is compared with the masks of all pictures or of none; an empty one would count as a miss."""
    fill(tmp_path / "some")
    save(tmp_path / "some" / "a" / "GroundTruth" / "00.png", 255, "L")
    assert load_pictures(f"folder:{tmp_path / 'some'}", PictureFormat((32, 32), "crop")).test().masks is None
    fill(tmp_path / "all", count=1)
    for name in "ab":
        save(tmp_path / "all" / name / "GroundTruth" / "00.png", 255, "L")
    assert load_pictures(f"folder:{tmp_path / 'all'}", PictureFormat((32, 32), "crop")).test().masks.all()


def test_a_changed_folder_is_read_again(tmp_path):
    fill(tmp_path / "images")
    options = {"memory_limit": 100, "cache_dir": tmp_path / "cache"}
    load_dataset(f"folder:{tmp_path}/images", **options)
    save(tmp_path / "images" / "a" / "99.png", (99, 0, 0))
    dataset = load_dataset(f"folder:{tmp_path}/images", **options)
    assert len(dataset.train) + len(dataset.validation) + len(dataset.test()) == 21


@pytest.mark.parametrize(
    "mode, value, name, expected",
    [
        ("L", 77, "a.png", (77, 77, 77)),
        ("1", 1, "a.png", (255, 255, 255)),
        ("LA", (77, 10), "a.png", (77, 77, 77)),
        ("RGBA", (10, 20, 30, 0), "a.png", (10, 20, 30)),
        ("P", 0, "a.gif", (0, 0, 0)),
        ("I;16", 77 * 257, "a.png", (77, 77, 77)),
        ("CMYK", (0, 255, 255, 0), "a.tif", (255, 0, 0)),
        ("RGB", (10, 20, 30), "a.bmp", (10, 20, 30)),
    ],
)
def test_kinds_of_images(tmp_path, mode, value, name, expected):
    save(tmp_path / name, value, mode)
    image = read_image(tmp_path / name, PictureFormat((6, 5), "stretch"))
    assert image.shape == (6, 5, 3) and image.dtype == np.uint8
    np.testing.assert_array_equal(image, np.broadcast_to(expected, (6, 5, 3)))


def test_one_pixel_and_long_images(tmp_path):
    save(tmp_path / "a.png", (1, 2, 3), size=(1, 1))
    save(tmp_path / "b.png", (1, 2, 3), size=(3000, 1))
    for name in "ab":
        np.testing.assert_array_equal(
            read_image(tmp_path / f"{name}.png", PictureFormat((8, 8), "stretch"))[3, 3], [1, 2, 3]
        )


def test_orientation_of_a_camera(tmp_path):
    """Orientation 6: the top row of the file is the right column of the picture."""
    picture = np.zeros((16, 16, 3), "uint8")
    picture[:8] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture).save(tmp_path / "a.png", exif=exif)
    image = read_image(tmp_path / "a.png", PictureFormat((16, 16), "stretch"))
    assert image[:, 8:].min() == 255 and image[:, :8].max() == 0


def test_a_decompression_bomb_is_not_opened(tmp_path):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    for side in (10_100, 12000, 100_000):
        header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        (tmp_path / "a.png").write_bytes(
            b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
        )
        with pytest.raises(UnreadableImage, match="pixels"):
            read_image(tmp_path / "a.png", PictureFormat((32, 32), "stretch"))


def test_how_large_pictures_may_be_is_an_option(tmp_path):
    fill(tmp_path)
    Image.new("RGB", (1250, 1000), (9, 9, 9)).save(tmp_path / "a" / "large.png")
    load_dataset(f"folder:{tmp_path}", megapixels=2)
    with pytest.raises(UserError, match=r"a/large.png \(1250x1000 is over 1 megapixels\)"):
        load_dataset(f"folder:{tmp_path}", megapixels=1)


def test_masks_beside_the_images(tmp_path):
    """White on the left half; the first two images of each class have one."""
    fill(tmp_path / "train", count=6)
    fill(tmp_path / "test", count=2)
    for name in "ab":
        for i, kind in ((0, "train"), (1, "train"), (0, "test")):
            mask = Image.new("L", (12, 10))
            mask.paste(255, (0, 0, 6, 10))
            path = tmp_path / kind / name / "GroundTruth" / f"{i:02}.jpg"
            path.parent.mkdir(exist_ok=True)
            mask.save(path.with_suffix(".png"))
    dataset = load_dataset(f"folder:{tmp_path}", image_size=16, validation_fraction=0.2)
    for split in (dataset.train, dataset.validation):
        has_mask = split.images[:, 0, 0, 0] < 2
        assert (split.masks[has_mask] == [True] * 8 + [False] * 8).all()
        assert not split.masks[~has_mask].any()
    assert (dataset.train.images[:, 0, 0, 0] < 2).any()
    assert dataset.test().masks is None, "evaluation takes the masks of all images, or none"
    for name in "ab":
        (tmp_path / "test" / name / "01.png").unlink()
    assert load_dataset(f"folder:{tmp_path}").test().masks.any(axis=(1, 2)).tolist() == [True, True]


def test_a_broken_mask_is_told(tmp_path):
    fill(tmp_path)
    (tmp_path / "a" / "GroundTruth").mkdir()
    (tmp_path / "a" / "GroundTruth" / "03.png").write_text("no mask")
    with pytest.raises(UserError, match=r"a/03\.png \(its mask GroundTruth/03\.png: not an image\)"):
        load_dataset(f"folder:{tmp_path}")
