"""Pictures of any shape: the same pixels from a file, in training and in the served graph."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy.ndimage import gaussian_filter

from attention_keras.data.datasets import load_dataset
from attention_keras.data.geometry import RESIZES, PictureFormat, crop_box, padded_box
from attention_keras.data.image_files import read_image
from attention_keras.errors import UserError
from attention_keras.runs.config import RunConfig
from attention_keras.serving.decode import decode_images

SHAPES = [(64, 64), (300, 200), (97, 411), (1, 1), (5, 40), (1500, 1100)]


def picture(shape, seed=0):
    """Smooth colours with edges, as photographs have."""
    noise = np.random.default_rng(seed).uniform(0, 255, (*shape, 3))
    smooth = gaussian_filter(noise, (3, 3, 0)) * 4 - 380
    smooth[: shape[0] // 2, : shape[1] // 3] += 100
    return np.clip(smooth, 0, 255).astype("uint8")


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("resize", RESIZES)
def test_the_served_graph_sees_the_pixels_that_training_saw(tmp_path, resize, kind):
    for size in ((32, 32), (96, 64)):
        for shape in SHAPES:
            path = tmp_path / f"{shape}.{kind.lower()}"
            Image.fromarray(picture(shape)).save(path, kind)
            trained = read_image(path, PictureFormat(size, resize)).astype(int)
            served, valid = decode_images(tf.constant([path.read_bytes()]), (*size, 3), resize)
            assert valid.numpy().all()
            # Two ways to add floating-point numbers, then rounding, where halves are frequent at some sizes;
            # the decoders agree to the bit.
            difference = np.abs(served.numpy()[0] - trained)
            assert difference.max() <= 1 and (difference > 0).mean() < 0.03, (shape, size)


def test_boxes_by_hand():
    assert crop_box(200, 100, (10, 10)) == (50, 0, 100, 100)
    assert crop_box(100, 200, (10, 20)) == (0, 0, 100, 200)
    assert crop_box(90, 200, (30, 10)) == (0, 85, 90, 30)
    assert crop_box(1, 500, (32, 32)) == (0, 249, 1, 1)
    assert padded_box(200, 100, (32, 32)) == (0, 8, 32, 16)
    assert padded_box(1, 500, (32, 32)) == (15, 0, 1, 32)


def marked(tmp_path):
    """Red in the middle third, green left of it, blue right of it; three times as wide as high."""
    pixels = np.zeros((60, 180, 3), "uint8")
    for index, channel in enumerate((1, 0, 2)):
        pixels[:, 60 * index : 60 * (index + 1), channel] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_crop_takes_the_middle_and_pad_keeps_the_shape(tmp_path):
    path = marked(tmp_path)
    assert (read_image(path, PictureFormat((30, 30), "crop")) == [255, 0, 0]).all()
    padded = read_image(path, PictureFormat((30, 30), "pad"))
    assert (padded[:10] == 0).all() and (padded[20:] == 0).all()
    assert (padded[12, [3, 15, 26]] == [[0, 255, 0], [255, 0, 0], [0, 0, 255]]).all()
    stretched = read_image(path, PictureFormat((30, 30), "stretch"))
    assert (stretched[:, [3, 15, 26]] == [[0, 255, 0], [255, 0, 0], [0, 0, 255]]).all()


def test_a_folder_is_cropped_unless_it_says_otherwise(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        for index in range(4):
            pixels = np.zeros((60, 180, 3), "uint8")
            pixels[:, :, 0], pixels[:, 60:120, 1] = index, 200
            Image.fromarray(pixels).save(tmp_path / name / f"{index}.png")
    shares = {
        resize: (load_dataset(f"folder:{tmp_path}", image_size=30, **given).train.images[..., 1] > 100).mean()
        for resize, given in {"crop": {}, "stretch": {"resize": "stretch"}, "pad": {"resize": "pad"}}.items()
    }
    assert shares["crop"] == 1
    assert shares["stretch"] == pytest.approx(1 / 3, abs=0.05)
    assert shares["pad"] == pytest.approx(1 / 9, abs=0.05)


def test_pictures_from_elsewhere_are_resized_as_those_of_the_training():
    assert RunConfig(dataset="tfds:flowers", resize="pad").resize_of_others == "pad"
    assert RunConfig(dataset="cub200").resize_of_others == "stretch"  # as the birds in their boxes


def test_wrong_uses_are_one_line():
    with pytest.raises(
        UserError, match="resize: 'squash' is not allowed; expected one of crop, stretch, pad"
    ):
        RunConfig(dataset="folder:photos", resize="squash")
    with pytest.raises(
        UserError, match="resize is for folder:PATH and tfds:NAME, with pictures of any shape; got cifar10"
    ):
        RunConfig(dataset="cifar10", resize="pad")


def test_exif_and_files_of_other_kinds(tmp_path):
    """A turned photograph is upright before its middle is taken."""
    pixels = np.zeros((40, 120, 3), "uint8")
    pixels[:, :40] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # the left of the file is the top of the picture
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", exif=exif)
    (tmp_path / "a.png").write_bytes(buffer.getvalue())
    padded = read_image(tmp_path / "a.png", PictureFormat((30, 30), "pad"))
    assert padded[:9, 10:20].min() == 255 and padded[11:, 10:20].max() == 0 and padded[:, :9].max() == 0
