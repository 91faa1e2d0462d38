"""Image files of every kind: the same pixels by Pillow and in the served graph, or a reason in one line."""

import io
import struct
import zlib
from typing import get_args

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy.ndimage import gaussian_filter

from attention_keras.data.image_files import UnreadableImage
from attention_keras.data.images import PictureFormat, check_image, frames, read_image
from attention_keras.data.registry import Resize
from attention_keras.serving.signatures import decode_images

SHAPES = [(64, 64), (300, 200), (97, 411), (1, 1), (5, 40), (700, 500)]


def photograph(shape, seed=0):
    """Smooth colours with edges, as photographs have."""
    noise = np.random.default_rng(seed).uniform(0, 255, (*shape, 3))
    smooth = gaussian_filter(noise, (3, 3, 0)) * 4 - 380
    smooth[: shape[0] // 2, : shape[1] // 3] += 100
    return np.clip(smooth, 0, 255).astype("uint8")


@pytest.mark.parametrize("kind, most", [("PNG", 1), ("JPEG", 4)])
def test_the_served_graph_sees_what_training_saw(tmp_path, kind, most):
    for shape in SHAPES:
        path = tmp_path / f"{shape}.{kind.lower()}"
        Image.fromarray(photograph(shape)).save(path, kind)
        for size in ((32, 32), (96, 64)):
            for resize in get_args(Resize):
                trained = read_image(path, PictureFormat(size, resize)).astype(int)
                served, valid = decode_images(tf.constant([path.read_bytes()]), (*size, 3), resize)
                difference = np.abs(served.numpy()[0] - trained)
                assert valid.numpy().all() and difference.max() <= most, (shape, size, resize)


def test_pixels_are_those_of_the_definition(tmp_path):
    """Bilinear with antialiasing, as a matrix product: each output pixel a triangle of its neighbours."""

    def triangle(count, wanted):
        scale = count / wanted
        centres = (np.arange(wanted) + 0.5) * scale
        weights = np.maximum(0, 1 - np.abs(np.arange(count) + 0.5 - centres[:, None]) / max(1, scale))
        return weights / weights.sum(axis=1, keepdims=True)

    pixels = photograph((90, 70))
    Image.fromarray(pixels).save(tmp_path / "a.png")
    expected = np.einsum("yh,hwc,xw->yxc", triangle(90, 20), pixels, triangle(70, 24), optimize=True)
    found = read_image(tmp_path / "a.png", PictureFormat((20, 24), "stretch"))
    assert np.abs(found - expected).max() <= 1.01 and np.abs(found - expected).mean() < 0.4


def test_boxes_by_hand():
    assert frames(200, 100, (10, 10), "crop") == ((50, 0, 100, 100), (0, 0, 10, 10))
    assert frames(100, 200, (10, 20), "crop")[0] == (0, 0, 100, 200)
    assert frames(90, 200, (30, 10), "crop")[0] == (0, 85, 90, 30)
    assert frames(1, 500, (32, 32), "crop")[0] == (0, 249, 1, 1)
    assert frames(200, 100, (32, 32), "pad") == ((0, 0, 200, 100), (0, 8, 32, 16))
    assert frames(1, 500, (32, 32), "pad")[1] == (15, 0, 1, 32)


def test_crop_takes_the_middle_and_pad_keeps_the_shape(tmp_path):
    """Red in the middle third, green left of it, blue right of it; three times as wide as high."""
    pixels = np.zeros((60, 180, 3), "uint8")
    for index, channel in enumerate((1, 0, 2)):
        pixels[:, 60 * index : 60 * (index + 1), channel] = 255
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path)
    assert (read_image(path, PictureFormat((30, 30), "crop")) == [255, 0, 0]).all()
    padded = read_image(path, PictureFormat((30, 30), "pad"))
    assert (padded[:10] == 0).all() and (padded[20:] == 0).all()
    assert (padded[12, [3, 15, 26]] == [[0, 255, 0], [255, 0, 0], [0, 0, 255]]).all()
    stretched = read_image(path, PictureFormat((30, 30), "stretch"))
    assert (stretched[:, [3, 15, 26]] == [[0, 255, 0], [255, 0, 0], [0, 0, 255]]).all()


def test_kinds_of_images(tmp_path):
    for mode, value, ending, expected in [
        ("L", 77, "png", (77, 77, 77)),
        ("1", 1, "png", (255, 255, 255)),
        ("LA", (77, 10), "png", (77, 77, 77)),
        ("RGBA", (10, 20, 30, 0), "png", (10, 20, 30)),
        ("P", 0, "gif", (0, 0, 0)),
        ("I;16", 77 * 257, "png", (77, 77, 77)),
        ("CMYK", (0, 255, 255, 0), "tif", (255, 0, 0)),
        ("RGB", (10, 20, 30), "bmp", (10, 20, 30)),
    ]:
        Image.new(mode, (12, 10), value).save(tmp_path / f"a.{ending}")
        image = read_image(tmp_path / f"a.{ending}", PictureFormat((6, 5), "stretch"))
        assert image.dtype == np.uint8
        np.testing.assert_array_equal(image, np.broadcast_to(expected, (6, 5, 3)), mode)


def test_a_turned_photograph_is_upright_before_its_middle_is_taken(tmp_path):
    """Orientation 6: the left of the file is the top of the image."""
    pixels = np.zeros((40, 120, 3), "uint8")
    pixels[:, :40] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    padded = read_image(tmp_path / "a.png", PictureFormat((30, 30), "pad"))
    assert padded[:9, 10:20].min() == 255 and padded[11:, 10:20].max() == 0 and padded[:, :9].max() == 0


def test_what_is_too_large_is_not_decoded(tmp_path):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    for side in (10_001, 100_000):
        header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        (tmp_path / "a.png").write_bytes(
            b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
        )
        for read in (check_image, read_image):
            with pytest.raises(UnreadableImage, match="pixels"):
                read(tmp_path / "a.png", PictureFormat((32, 32), "stretch"))
    Image.new("1", (10_001, 10_000)).save(tmp_path / "b.png")
    with pytest.raises(UnreadableImage, match="10001x10000 is over 100 megapixels; shrink it"):
        read_image(tmp_path / "b.png", PictureFormat((32, 32), "crop"))


def reason_of(read, *arguments):
    try:
        read(*arguments)
    except UnreadableImage as reason:
        return str(reason)


def test_a_check_fails_wherever_reading_fails(tmp_path):
    """A JPEG, progressive or not, and a PNG, cut at many places."""
    fails, to, file = [], PictureFormat((16, 16), "crop"), tmp_path / "cut"
    for kind in ({"format": "JPEG"}, {"format": "JPEG", "progressive": True}, {"format": "PNG"}):
        content = io.BytesIO()
        Image.fromarray(photograph((100, 150))).save(content, **kind)
        for share in np.linspace(0, 1, 21):
            file.write_bytes(content.getvalue()[: round(share * len(content.getvalue()))])
            reasons = [reason_of(check_image, file, to), reason_of(read_image, file, to)]
            assert (reasons[0] is None) == (reasons[1] is None), (kind, share, reasons)
            fails.append(reasons[0] is not None)
    assert 50 < sum(fails) <= 60 and not fails[20] and not fails[41] and not fails[62]
    Image.new("F", (4, 4)).save(tmp_path / "a.tif")
    assert "no agreed range" in reason_of(read_image, tmp_path / "a.tif", to)
