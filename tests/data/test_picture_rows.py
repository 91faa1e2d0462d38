"""Pictures that stay in their files: the same pixels, checked before they are needed, nothing kept."""

import io
import re

import numpy as np
import pytest
from PIL import ExifTags, Image

from attention_keras.data.datasets import load_dataset
from attention_keras.data.geometry import PictureFormat
from attention_keras.data.image_files import UnreadableImage, check_image, read_image
from attention_keras.data.picture_rows import PictureRows
from attention_keras.data.pipeline import evaluation_batches, training_batches
from attention_keras.data.user_errors import user_errors
from attention_keras.errors import UserError


def photograph(number, height=48, width=64):
    """Smooth pixels with some noise, different for each number."""
    rng = np.random.default_rng(number)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype="uint8"))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), "int16")
    return Image.fromarray((smooth + rng.integers(-9, 10, smooth.shape)).clip(0, 255).astype("uint8"))


@pytest.fixture
def photos(tmp_path):
    """40 files of two classes: JPEG and PNG, standing and lying, some turned by the camera."""
    for number in range(40):
        shape = (48, 64) if number % 3 else (70, 40)
        file = tmp_path / "photos" / "ab"[number % 2] / f"{number:02}.{'png' if number % 5 == 0 else 'jpg'}"
        file.parent.mkdir(parents=True, exist_ok=True)
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6 if number % 4 == 0 else 1
        photograph(number, *shape).save(file, exif=exif)
    return tmp_path / "photos"


@pytest.fixture
def load(photos, tmp_path):
    def load(**options):
        return load_dataset(
            f"folder:{photos}", **{"image_size": 16, "cache_dir": tmp_path / "cache"} | options
        )

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


@pytest.mark.parametrize("resize", ["crop", "stretch", "pad"])
def test_streamed_pixels_are_those_that_would_be_kept(load, resize):
    kept, streamed = load(resize=resize, stream="off"), load(resize=resize, stream="on")
    pairs = [(getattr(kept, role), getattr(streamed, role)) for role in ("train", "validation")]
    for one, other in [*pairs, (kept.test(), streamed.test())]:
        assert type(one.images) is np.ndarray and isinstance(other.images, PictureRows)
        np.testing.assert_array_equal(one.images, np.asarray(other.images))
        np.testing.assert_array_equal(one.labels, other.labels)
        np.testing.assert_array_equal(one.digests, other.digests)
    assert kept.image_shape == streamed.image_shape == (16, 16, 3)
    some = batches_of(kept.train, augment="flip+crop+cutmix")
    assert_same(some, batches_of(streamed.train, augment="flip+crop+cutmix"))
    (one, _), *_ = evaluation_batches(streamed.validation, num_classes=2, batch_size=99)
    np.testing.assert_array_equal(one, kept.validation.images)


def test_a_folder_streams_above_the_memory_limit_alone(load):
    needed = 40 * (16 * 16 * 3 + 4 + 8 + 8)  # pixels, labels, digests, row numbers
    assert type(load(memory_limit=needed).train.images) is np.ndarray
    assert isinstance(load(memory_limit=needed - 1).train.images, PictureRows)
    with pytest.raises(UserError, match="stream is for folder:PATH, whose pictures are files; got 'cifar10'"):
        load_dataset("cifar10", stream="on")


def test_rows_are_indexed_as_those_of_an_array(load):
    rows = load(stream="on").train.images
    whole = np.asarray(rows)
    assert (rows.shape, rows.dtype, rows.ndim, rows.size) == (whole.shape, whole.dtype, 4, whole.size)
    for index in (
        3,
        -1,
        slice(2, 9, 3),
        slice(0, 0),
        [4, 0, 4],
        np.array([], "int64"),
        whole[:, 0, 0, 0] > 99,
    ):
        np.testing.assert_array_equal(rows[index], whole[index])
        if not isinstance(index, int):
            np.testing.assert_array_equal(np.asarray(rows.select(index)), whole[index])


@pytest.fixture
def decoded(monkeypatch):
    """Names of the files that were decoded, as training does it, in any order."""
    names = []

    def counted(original):
        def decode(self, file, *arguments):
            names.append(file.name)
            return original(self, file, *arguments)

        return decode

    for method in ("_whole", "_part"):
        monkeypatch.setattr(PictureRows, method, counted(getattr(PictureRows, method)))
    return names


@pytest.mark.parametrize("augment", ["flip", "resized_crop"])
def test_each_picture_is_decoded_once_an_epoch_and_none_is_kept(load, decoded, augment, tmp_path):
    train = load(stream="on").train
    assert decoded == [], "pictures are only checked before"
    written = sum(file.stat().st_size for file in (tmp_path / "cache").rglob("*") if file.is_file())
    assert written < 40 * 24 + 8000, "labels, digests and row numbers"
    batches_of(train, augment=augment, epochs=3)
    assert sorted(decoded) == sorted([file.name for file in train.pictures.files] * 3)
    assert written == sum(f.stat().st_size for f in (tmp_path / "cache").rglob("*") if f.is_file())


def test_kept_pictures_are_cropped_from_their_files_too(load, decoded):
    kept, streamed = load(stream="off").train, load(stream="on").train
    assert_same(batches_of(kept), batches_of(streamed))
    assert len(decoded) == 2 * 2 * len(kept)


def test_crops_are_a_function_of_seed_epoch_and_step(load, monkeypatch):
    train = load(stream="on").train
    whole = batches_of(train)
    steps = -(-len(train) // 6)
    assert len(whole) == 2 * steps
    for start in (1, steps - 1, steps, steps + 2):
        assert_same(batches_of(train, start_step=start), whole[start:])
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    from attention_keras.data import picture_rows

    picture_rows._decoders.cache_clear()
    assert_same(batches_of(train), whole)
    picture_rows._decoders.cache_clear()
    others = [batches_of(train, seed=4), batches_of(train.take(slice(6)), epochs=9)]
    assert (others[0][0][0] != whole[0][0]).any()
    assert len({images[0].tobytes() for images, _ in others[1]}) == 9, "another part in each epoch"


def test_crops_belong_to_files_only():
    digits = load_dataset("cluttered_digits", limit=20).train
    with pytest.raises(
        UserError, match="augment resized_crop is cut from picture files, which a folder:PATH"
    ):
        training_batches(digits, num_classes=10, batch_size=5, seed=0, epochs=1, augment="resized_crop+flip")


def test_masks_are_not_cropped_with_files(load):
    train = load(stream="on").train
    told = np.ones(len(train), bool)
    with pytest.raises(UserError, match="augment resized_crop changes images without their masks"):
        training_batches(
            train, num_classes=2, batch_size=5, seed=0, epochs=1, augment="resized_crop", objects=told
        )


def test_masks_of_streamed_pictures_are_those_that_would_be_kept(photos, load):
    for file in list(photos.glob("a/*"))[:12]:
        (photos / "a" / "GroundTruth").mkdir(exist_ok=True)
        mask = photograph(7, 48, 64).convert("L")
        mask.save(photos / "a" / "GroundTruth" / f"{file.stem}.png")
    kept, streamed = load(stream="off").train, load(stream="on").train
    assert kept.masks.any()
    np.testing.assert_array_equal(kept.masks, np.asarray(streamed.masks))
    np.testing.assert_array_equal(kept.images, np.asarray(streamed.images))


def test_broken_files_are_told_before_training(photos, load, caplog):
    (photos / "a" / "x.jpg").write_bytes(b"no image")
    good = (photos / "b" / "01.jpg").read_bytes()
    (photos / "b" / "y.jpg").write_bytes(good[: len(good) * 2 // 3])
    problem = re.escape("2 of 42 images in ") + r".* cannot be read: a/x.jpg \(not an image\), b/y.jpg \(.*"
    with pytest.raises(UserError, match=problem + "leave them out with --skip-broken") as error:
        load(stream="on")
    assert "\n" not in str(error.value)
    kept, streamed = load(stream="off", skip_broken=True), load(stream="on", skip_broken=True)
    assert "left out: 2 of 42 images" in caplog.text
    np.testing.assert_array_equal(kept.train.images, np.asarray(streamed.train.images))
    assert len(streamed.train) + len(streamed.validation) + len(streamed.test()) == 40


def test_a_check_fails_wherever_reading_fails(tmp_path):
    """A JPEG, progressive or not, and a PNG, cut at many places; and one that is too large."""
    fails, to = [], PictureFormat((16, 16), "crop")
    for kind in ({"format": "JPEG"}, {"format": "JPEG", "progressive": True}, {"format": "PNG"}):
        content = io.BytesIO()
        photograph(1, 200, 300).save(content, **kind)
        file = tmp_path / "cut"
        for share in np.linspace(0, 1, 41):
            file.write_bytes(content.getvalue()[: round(share * len(content.getvalue()))])
            reasons = [reason_of(check_image, file), reason_of(read_image, file, to)]
            assert (reasons[0] is None) == (reasons[1] is None), (kind, share, reasons)
            fails.append(reasons[0] is not None)
    assert 100 < sum(fails) <= 120 and not fails[40] and not fails[81] and not fails[122]
    photograph(1, 1001, 1000).save(tmp_path / "large.jpg")
    assert reason_of(check_image, tmp_path / "large.jpg", 1) == "1000x1001 is over 1 megapixels"


def reason_of(read, *arguments):
    try:
        read(*arguments)
    except UnreadableImage as reason:
        return str(reason)


@pytest.mark.parametrize("augment", ["none", "flip+resized_crop"])
def test_a_picture_that_vanishes_or_changes_meanwhile_is_told_in_a_line(load, augment):
    train = load(stream="on").train
    file = train.pictures.files[7]
    content = file.read_bytes()
    file.unlink()
    message = f"^{re.escape(str(file))} can no longer be read: No such file or directory; put it back$"
    with pytest.raises(UserError, match=message), user_errors():
        batches_of(train, augment=augment)
    photograph(99).save(file)
    with (
        pytest.raises(UserError, match="has changed since it was found good; put it back as it was") as told,
        user_errors(),
    ):
        batches_of(train, augment=augment)
    assert "\n" not in str(told.value)
    with pytest.raises(UserError, match="has changed"):
        train.images[[7]]
    assert content and len(train.images[[6, 8]]) == 2


def test_a_picture_that_vanishes_once_it_is_decoded_has_not_changed(load, monkeypatch):
    """A folder that is moved while its pictures are read: whichever moment it is, it is told the same."""
    rows = load(stream="on").train.images

    def read_and_take(path, *how):
        pixels = read_image(path, *how)
        path.unlink()
        return pixels

    monkeypatch.setattr("attention_keras.data.picture_rows.read_image", read_and_take)
    with pytest.raises(UserError, match=r"can no longer be read: No such file or directory; put it back$"):
        rows[:1]
