"""Image files to a dataset: broken ones told before training, masks, and images that stay in their files."""

import gc
import re
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import ExifTags, Image

from attention_keras.data import rows as rows_of_files
from attention_keras.data.datasets import load_dataset, load_unseen
from attention_keras.data.images import PictureFormat
from attention_keras.data.pipeline import evaluation_batches, training_batches, user_errors
from attention_keras.data.rows import ImageRows
from attention_keras.errors import UserError


def photograph(number, height=48, width=64):
    """Smooth pixels with some noise, different for each number."""
    rng = np.random.default_rng(number)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype="uint8"))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), "int16")
    return Image.fromarray((smooth + rng.integers(-9, 10, smooth.shape)).clip(0, 255).astype("uint8"))


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """40 files of two classes: JPEG and PNG, standing and lying, some turned by the camera."""
    folder = tmp_path_factory.mktemp("originals")
    for number in range(40):
        shape = (48, 64) if number % 3 else (70, 40)
        file = folder / "ab"[number % 2] / f"{number:02}.{'png' if number % 5 == 0 else 'jpg'}"
        file.parent.mkdir(exist_ok=True)
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6 if number % 4 == 0 else 1
        photograph(number, *shape).save(file, exif=exif)
    return folder


@pytest.fixture
def photos(originals, tmp_path):
    return shutil.copytree(originals, tmp_path / "photos")


@pytest.fixture
def load(photos, tmp_path, monkeypatch):
    def load(stream=False, **options):
        monkeypatch.setenv("ATTENTION_KERAS_STREAM", str(int(stream)))
        options = {"image_size": 16, "cache_dir": tmp_path / "cache"} | options
        return load_dataset(f"folder:{photos}", **options)

    return load


def batches_of(split, **changes):
    options = {"num_classes": 2, "batch_size": 6, "seed": 3, "epochs": 2, "augment": "flip+resized_crop"}
    return [
        (images.numpy(), labels.numpy()) for images, labels in training_batches(split, **options | changes)
    ]


def assert_same(some, others):
    assert len(some) == len(others) > 0
    for one, other in zip(some, others):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


def test_train_validation_and_test_folders(tmp_path, fill):
    fill(tmp_path / "train")
    fill(tmp_path / "val", count=2, first=50)
    fill(tmp_path / "test", count=3, first=90)
    (tmp_path / "test" / "a" / "x.jpg").write_bytes(b"no image")
    dataset = load_dataset(f"folder:{tmp_path}", skip_broken=True)
    splits = [dataset.train, dataset.validation, dataset.test()]
    assert [len(split) for split in splits] == [20, 4, 6] and dataset.class_names == ("a", "b")
    for split in splits:
        np.testing.assert_array_equal(split.images[:, 0, 0, 1], split.labels)
    assert dataset.validation.images[:, 0, 0, 0].tolist() == [50, 50, 51, 51]
    assert load_dataset(f"folder:{tmp_path}", limit=6).train.labels.tolist() == [0, 1] * 3
    with pytest.raises(UserError, match=r"1 of 7 images in .* cannot be read: test/a/x.jpg \(not an image\)"):
        load_dataset(f"folder:{tmp_path}").test()


def test_broken_images_are_named_or_left_out(photos, load, caplog):
    (photos / "a" / "x.jpg").write_bytes(b"no image")
    (photos / "a" / "lost.jpg").symlink_to(photos / "nowhere.jpg")
    good = (photos / "b" / "01.jpg").read_bytes()
    (photos / "b" / "y.jpg").write_bytes(good[: len(good) * 2 // 3])
    problem = re.escape("3 of 43 images in ") + r".* cannot be read: .*; repair .* skip_broken"
    for stream in (False, True):
        with pytest.raises(UserError, match=problem) as told:
            load(stream)
        assert "\n" not in str(told.value)
        for named in ("a/x.jpg (not an image)", "a/lost.jpg (No such file or directory)", "b/y.jpg ("):
            assert named in str(told.value)
        dataset = load(stream, skip_broken=True)
        assert len(dataset.train) + len(dataset.validation) + len(dataset.test()) == 40
    assert "left out: 3 of 43 images" in caplog.text
    for file in (photos / "b").iterdir():
        file.write_bytes(b"no image" + file.name.encode())
    with pytest.raises(UserError, match="no image of the class 'b' can be read"):
        load(skip_broken=True)


def test_masks_beside_the_images(tmp_path, fill):
    """White on the left half; the first two training images of each class have one, and half of the test."""
    fill(tmp_path / "train", count=6)
    fill(tmp_path / "test", count=2)
    for name in "ab":
        for number, role in ((0, "train"), (1, "train"), (0, "test")):
            mask = Image.new("L", (12, 10))
            mask.paste(255, (0, 0, 6, 10))
            path = tmp_path / role / name / "GroundTruth" / f"{number:02}.png"
            path.parent.mkdir(exist_ok=True)
            mask.save(path)
    dataset = load_dataset(f"folder:{tmp_path}", image_size=16, validation_fraction=0.2)
    for split in (dataset.train, dataset.validation):
        has_mask = split.images[:, 0, 0, 0] < 2
        assert (split.masks[has_mask] == [True] * 8 + [False] * 8).all()
        assert not split.masks[~has_mask].any()
    assert (dataset.train.images[:, 0, 0, 0] < 2).any()
    assert dataset.test().masks is None, "evaluation takes the masks of all images, or none"
    assert load_unseen(f"folder:{tmp_path}", PictureFormat((16, 16), "crop")).test().masks is None
    for name in "ab":
        (tmp_path / "test" / name / "01.png").unlink()
    assert load_dataset(f"folder:{tmp_path}").test().masks.any(axis=(1, 2)).tolist() == [True, True]
    (tmp_path / "train" / "a" / "GroundTruth" / "00.png").write_text("no mask")
    with pytest.raises(UserError, match=r"a/00\.png \(its mask train/a/GroundTruth/00\.png: not an image\)"):
        load_dataset(f"folder:{tmp_path}")


def test_streamed_pixels_are_those_that_would_be_kept(photos, load):
    needed = 40 * (16 * 16 * 3 + 1)  # pixels, and whether it is good
    assert type(load(memory_limit=needed).train.images) is np.ndarray
    assert isinstance(load(memory_limit=needed - 1).train.images, ImageRows)
    for file in list(photos.glob("a/*"))[:12]:
        (photos / "a" / "GroundTruth").mkdir(exist_ok=True)
        photograph(7).convert("L").save(photos / "a" / "GroundTruth" / f"{file.stem}.png")
    kept, streamed = load(resize="pad"), load(True, resize="pad")
    pairs = [(getattr(kept, role), getattr(streamed, role)) for role in ("train", "validation")]
    for one, other in [*pairs, (kept.test(), streamed.test())]:
        assert type(one.images) is np.ndarray and isinstance(other.images, ImageRows)
        np.testing.assert_array_equal(one.images, np.asarray(other.images))
        np.testing.assert_array_equal(one.labels, other.labels)
        np.testing.assert_array_equal(one.digests, other.digests)
    np.testing.assert_array_equal(kept.train.masks, np.asarray(streamed.train.masks))
    assert kept.train.masks.any() and kept.image_shape == streamed.image_shape == (16, 16, 3)
    mixed = {"augment": "flip+crop+cutmix"}
    assert_same(batches_of(kept.train, **mixed), batches_of(streamed.train, **mixed))
    (one, _), *_ = evaluation_batches(streamed.validation, num_classes=2, batch_size=99)
    np.testing.assert_array_equal(one, kept.validation.images)


@pytest.fixture
def decoded(monkeypatch):
    """Names of the files that were decoded, as training does it, in any order."""
    names = []

    def counted(read):
        def decode(file, *arguments):
            names.append(file.name)
            return read(file, *arguments)

        return decode

    for name in ("read_image", "read_part"):
        monkeypatch.setattr(rows_of_files, name, counted(getattr(rows_of_files, name)))
    return names


def test_each_image_is_decoded_once_an_epoch_and_none_is_kept(load, decoded, tmp_path):
    train = load(True).train
    assert decoded == [], "images are only checked before"
    size = sum(file.stat().st_size for file in (tmp_path / "cache").rglob("*") if file.is_file())
    assert size < 40 * 8 + 8000, "row numbers"
    for augment in ("flip", "resized_crop"):
        decoded.clear()
        batches_of(train, augment=augment, epochs=3)
        assert sorted(decoded) == sorted([file.name for file in train.files.files] * 3)
    assert size == sum(file.stat().st_size for file in (tmp_path / "cache").rglob("*") if file.is_file())
    decoded.clear()
    kept = load().train
    assert_same(batches_of(kept), batches_of(train))
    assert len(decoded) == 2 * 2 * len(kept), "kept images are cropped from their files too"


def test_crops_are_a_function_of_seed_epoch_and_step(load, monkeypatch):
    train = load(True).train
    whole, steps = batches_of(train), -(-len(train) // 6)
    for start in (1, steps - 1, steps, steps + 2):
        assert_same(batches_of(train, start_step=start), whole[start:])
    monkeypatch.setattr(rows_of_files, "_DECODERS", ThreadPoolExecutor(1))
    assert_same(batches_of(train), whole)
    assert (batches_of(train, seed=4)[0][0] != whole[0][0]).any()
    one = batches_of(train.take(slice(6)), epochs=9)
    assert len({images[0].tobytes() for images, _ in one}) == 9, "another part in each epoch"


def test_an_image_that_vanishes_or_changes_meanwhile_is_told_in_a_line(load):
    train, augment = load(True).train, "flip+resized_crop"
    file = train.files.files[7]
    file.unlink()
    message = f"^{re.escape(str(file))} can no longer be read: No such file or directory; put it back$"
    with pytest.raises(UserError, match=message), user_errors():
        batches_of(train, augment=augment)
    gc.collect()  # a failed iterator is in a cycle; collected by a thread that decodes, it waits for itself
    photograph(99).save(file)
    changed = "has changed since it was found good; put it back as it was"
    with pytest.raises(UserError, match=changed), user_errors():
        batches_of(train, augment=augment)
    gc.collect()
    with pytest.raises(UserError, match="has changed"):
        train.images[[7]]
    assert len(train.images[[6, 8]]) == 2
