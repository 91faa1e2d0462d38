"""Image files of every kind: the same pixels by Pillow and in the served graph, or a reason in one line."""

import io
import struct
import zlib
from typing import get_args

import numpy as np
import pytest
import tensorflow as tf
from PIL import ExifTags, Image
from scipy.ndimage import gaussian_filter

from attention_keras.data.image_files import UnreadableImage
from attention_keras.data.images import (
    RATIO,
    SCALE,
    PictureFormat,
    check_image,
    frames,
    random_box,
    read_image,
    resized_crop,
)
from attention_keras.data.registry import Resize
from attention_keras.serving.signatures import decode_images

SHAPES = [(64, 64), (300, 200), (97, 411), (1, 1), (5, 40), (700, 500)]


def photograph(shape):
    """Smooth colours with edges, as photographs have."""
    noise = np.random.default_rng(0).uniform(0, 255, (*shape, 3))
    smooth = gaussian_filter(noise, (3, 3, 0)) * 4 - 380
    smooth[: shape[0] // 2, : shape[1] // 3] += 100
    return np.clip(smooth, 0, 255).astype("uint8")


def triangle(count, start, length, wanted):
    """`(wanted, count)` weights of bilinear resizing with antialiasing, from pixel `start` on."""
    scale = length / wanted
    centres = start + (np.arange(wanted) + 0.5) * scale
    weights = np.maximum(0, 1 - np.abs(np.arange(count) + 0.5 - centres[:, None]) / max(1, scale))
    return weights / weights.sum(axis=1, keepdims=True)


def expected(pixels, box, size):
    """The part of an array at another size, by its definition: a matrix product."""
    (top, left, tall, wide), (height, width) = box, pixels.shape[:2]
    rows = triangle(height, top * height, tall * height, size[0])
    columns = triangle(width, left * width, wide * width, size[1])
    return np.einsum("yh,hwc,xw->yxc", rows, pixels.astype("float64"), columns, optimize=True)


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
    pixels = photograph((90, 70))
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = read_image(tmp_path / "a.png", PictureFormat((20, 24), "stretch"))
    difference = np.abs(found - expected(pixels, (0, 0, 1, 1), (20, 24)))
    assert difference.max() <= 1.01 and difference.mean() < 0.4


def test_frames_by_hand():
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


def opened(pixels, **options):
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, **{"format": "PNG"} | options)
    return Image.open(content)


def test_a_check_fails_wherever_reading_fails(tmp_path):
    """A JPEG, progressive or not, and a PNG, cut at many places."""
    fails, to, file = [], PictureFormat((16, 16), "crop"), tmp_path / "cut"
    for kind in ({"format": "JPEG"}, {"format": "JPEG", "progressive": True}, {"format": "PNG"}):
        content = opened(photograph((100, 150)), **kind).fp.getvalue()
        for share in np.linspace(0, 1, 21):
            file.write_bytes(content[: round(share * len(content))])
            reasons = [reason_of(check_image, file, to), reason_of(read_image, file, to)]
            assert (reasons[0] is None) == (reasons[1] is None), (kind, share, reasons)
            fails.append(reasons[0] is not None)
    assert 50 < sum(fails) <= 60 and not fails[20] and not fails[41] and not fails[62]
    Image.new("F", (4, 4)).save(tmp_path / "a.tif")
    assert "no agreed range" in reason_of(read_image, tmp_path / "a.tif", to)


LAST = 1 - 1e-9


def test_random_boxes_lie_inside_with_area_and_ratio_in_their_limits():
    draws = np.random.default_rng(0).random((4000, 4))
    for aspect in (0.1, 0.5, 0.75, 1.0, 4 / 3, 1.9, 3.0, 12.0):
        top, left, height, width = np.array([random_box(four, aspect) for four in draws]).T
        assert min(top.min(), left.min()) >= 0 and max((top + height).max(), (left + width).max()) <= 1
        ratio, area = width * aspect / height, height * width
        assert RATIO[0] - 1e-9 < ratio.min() and ratio.max() < RATIO[1] + 1e-9
        possible = min(1, RATIO[1] / aspect, aspect / RATIO[0])
        assert min(SCALE[0], possible) - 1e-9 < area.min() and area.max() < possible + 1e-9
        if possible > SCALE[0]:  # uniform between the limits
            quarters = np.histogram(area, 4, (SCALE[0], possible))[0]
            assert quarters.sum() == 4000 and abs(quarters - 1000).max() < 120


def test_random_boxes_by_hand():
    # Area 0.675 and ratio 1, so a side of sqrt(0.675); a quarter and three quarters of what is left.
    side = 0.8215838
    wanted = (0.25 * (1 - side), 0.75 * (1 - side), side, side)
    assert random_box((0.5, 0.5, 0.25, 0.75)) == pytest.approx(wanted, abs=1e-6)
    # 4:3. A part of 0.675 is at most as high as the image, so its ratio is from 0.9 to 4/3: sqrt(1.2).
    assert random_box((0.5, 0.5, 0, 0), 4 / 3)[2:] == pytest.approx((0.9064126, 0.7446939), abs=1e-6)
    # 5:1. No part with a ratio of up to 4/3 is larger than 4/3 by 1 in 5 by 1.
    assert random_box((0.3, 0.4, 0.9, 0.5), 5.0) == pytest.approx((0, 0.5 * 11 / 15, 1, 4 / 15), abs=1e-6)
    assert random_box((LAST, 0.5, 0.5, 0.5)) == pytest.approx((0, 0, 1, 1), abs=1e-6)
    assert random_box((0, 0, 0, 0)) == pytest.approx((0, 0, 0.6831301, 0.5123475), abs=1e-6)


@pytest.mark.parametrize("draws", [(0.2, 0.3, 0.6, 0.1), (0.9, 0.8, 0.5, 0.5), (0.0, 0.99, 0.9, 0.9)])
def test_a_crop_has_the_pixels_of_its_box(draws):
    pixels = photograph((60, 120))  # too small for pixels to be averaged first
    for size, resize, aspect in (((64, 64), "crop", 2.0), ((64, 64), "stretch", 1.0)):
        crop = resized_crop(opened(pixels), draws, PictureFormat(size, resize))
        assert crop.shape == (*size, 3) and crop.dtype == np.uint8
        wanted = expected(pixels, random_box(draws, aspect), size)
        # Where a part begins, Pillow takes whole pixels only; rounding is twice half a level.
        assert abs(crop - wanted)[1:-1, 1:-1].max() < 1.5 and abs(crop - wanted).mean() < 0.5

    # Large JPEGs are decoded at a part of their size, to nearly the same.
    smooth = gaussian_filter(photograph((600, 800)), (9, 9, 0))
    image, box = opened(smooth, format="JPEG", quality=95), random_box(draws, 4 / 3)
    pixels = np.asarray(Image.open(io.BytesIO(image.fp.getvalue())))
    crop = resized_crop(image, draws, PictureFormat((32, 32), "crop"))
    assert image.size in [(100, 75), (200, 150)]
    assert min(box[2] * image.height, box[3] * image.width) + 1 >= 1.25 * 32
    difference = abs(crop - expected(pixels, box, (32, 32)))
    assert difference.mean() < 1 and difference.max() < 6

    # The box is of the image as the camera held it.
    upright, exif = photograph((320, 160)), Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    wanted = expected(upright, random_box(draws, 0.5), (32, 32))
    for kind in ("PNG", "JPEG", "TIFF", "MPO"):
        more = {"quality": 95} if kind in ("JPEG", "MPO") else {}
        turned = opened(np.ascontiguousarray(np.rot90(upright)), format=kind, exif=exif, **more)
        assert abs(resized_crop(turned, draws, PictureFormat((32, 32), "crop")) - wanted).mean() < 2, kind


def test_padded_crops_keep_the_black_that_evaluation_sees():
    white = opened(np.full((100, 200, 3), 255, "uint8"))
    whole = resized_crop(white, (LAST, 0.5, 0.5, 0.5), PictureFormat((40, 40), "pad"))
    np.testing.assert_array_equal(whole[[0, 8, 12, 20, 28, 31, 39], 20, 0], [0, 0, 255, 255, 255, 0, 0])
    # The smallest part at the top: black down to the row 50 of 100 in 200, of 0.35 with a ratio of 1.
    part = resized_crop(white, (0, 0.5, 0, 0), PictureFormat((40, 40), "pad"))
    edge = 40 * 0.25 / np.sqrt(0.35)
    assert (part[..., 0].mean(axis=1) > 127).argmax() == pytest.approx(edge, abs=1)
