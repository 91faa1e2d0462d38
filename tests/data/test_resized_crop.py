"""Random-resized crops against the numbers that their definition gives, by hand and with NumPy."""

import io

import numpy as np
import pytest
from PIL import ExifTags, Image

from attention_keras.data.images import RATIO, SCALE, PictureFormat, random_box, resized_crop

LAST = 1 - 1e-9


def boxes(aspect, count=4000):
    draws = np.random.default_rng(0).random((count, 4))
    return np.array([random_box(four, aspect) for four in draws])


@pytest.mark.parametrize("aspect", [0.1, 0.5, 0.75, 1.0, 4 / 3, 1.9, 3.0, 12.0])
def test_boxes_lie_inside_with_area_and_ratio_in_their_limits(aspect):
    top, left, height, width = boxes(aspect).T
    assert top.min() >= 0 and left.min() >= 0 and (top + height).max() <= 1 and (left + width).max() <= 1
    ratio, area = width * aspect / height, height * width
    assert RATIO[0] - 1e-9 < ratio.min() and ratio.max() < RATIO[1] + 1e-9
    possible = min(1, RATIO[1] / aspect, aspect / RATIO[0])
    assert min(SCALE[0], possible) - 1e-9 < area.min() and area.max() < possible + 1e-9
    if possible > SCALE[0]:  # uniform between the limits
        quarters = np.histogram(area, 4, (SCALE[0], possible))[0]
        assert quarters.sum() == 4000 and abs(quarters - 1000).max() < 120


def test_boxes_by_hand():
    # Area 0.675 and ratio 1, so a side of sqrt(0.675); a quarter and three quarters of what is left.
    side = 0.8215838
    expected = (0.25 * (1 - side), 0.75 * (1 - side), side, side)
    assert random_box((0.5, 0.5, 0.25, 0.75)) == pytest.approx(expected, abs=1e-6)
    # 4:3. A part of 0.675 is at most as high as the picture, so its ratio is from 0.9 to 4/3: sqrt(1.2).
    assert random_box((0.5, 0.5, 0, 0), 4 / 3)[2:] == pytest.approx((0.9064126, 0.7446939), abs=1e-6)
    # 5:1. No part with a ratio of up to 4/3 is larger than 4/3 by 1 in 5 by 1.
    assert random_box((0.3, 0.4, 0.9, 0.5), 5.0) == pytest.approx((0, 0.5 * 11 / 15, 1, 4 / 15), abs=1e-6)
    assert random_box((LAST, 0.5, 0.5, 0.5)) == pytest.approx((0, 0, 1, 1), abs=1e-6)
    assert random_box((0, 0, 0, 0)) == pytest.approx((0, 0, 0.6831301, 0.5123475), abs=1e-6)


def photograph(height, width):
    """Pixels as smooth as a photograph's."""
    rng = np.random.default_rng(height)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype="uint8"))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))


def opened(pixels, **options):
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, **{"format": "PNG"} | options)
    return Image.open(content)


def triangle(count, start, length, wanted):
    """`(wanted, count)` weights of bilinear resizing with antialiasing, from pixel `start` on."""
    scale = length / wanted
    centres = start + (np.arange(wanted) + 0.5) * scale
    distance = np.abs(np.arange(count) + 0.5 - centres[:, None]) / max(1, scale)
    weights = np.maximum(0, 1 - distance)
    return weights / weights.sum(axis=1, keepdims=True)


def expected(pixels, box, size):
    """The part of an array at another size, by its definition."""
    (top, left, tall, wide), (height, width) = box, pixels.shape[:2]
    rows = triangle(height, top * height, tall * height, size[0])
    columns = triangle(width, left * width, wide * width, size[1])
    return np.einsum("yh,hwc,xw->yxc", rows, pixels.astype("float64"), columns, optimize=True)


DRAWS = [(0.2, 0.3, 0.6, 0.1), (0.9, 0.8, 0.5, 0.5), (0.0, 0.99, 0.9, 0.9)]


@pytest.mark.parametrize("draws", DRAWS)
def test_pixels_are_those_of_the_box(draws):
    pixels = photograph(60, 120)  # too small for pixels to be averaged first
    for size, resize, aspect in (((64, 64), "crop", 2.0), ((64, 64), "stretch", 1.0)):
        crop = resized_crop(opened(pixels), draws, PictureFormat(size, resize))
        assert crop.shape == (*size, 3) and crop.dtype == np.uint8
        wanted = expected(pixels, random_box(draws, aspect), size)
        # Where a part begins, Pillow takes whole pixels only; rounding is twice half a level.
        assert abs(crop - wanted)[1:-1, 1:-1].max() < 1.5 and abs(crop - wanted).mean() < 0.5


@pytest.mark.parametrize("draws", DRAWS)
def test_large_jpegs_are_decoded_at_a_part_of_their_size_to_nearly_the_same(draws):
    image = opened(photograph(600, 800), format="JPEG", quality=95)
    pixels = np.asarray(image.copy().convert("RGB"))
    image = opened(photograph(600, 800), format="JPEG", quality=95)
    crop = resized_crop(image, draws, PictureFormat((32, 32), "crop"))
    box = random_box(draws, 4 / 3)
    assert image.size in [(100, 75), (200, 150)]
    assert min(box[2] * image.height, box[3] * image.width) + 1 >= 1.25 * 32
    wanted = expected(pixels, box, (32, 32))
    assert abs(crop - wanted).mean() < 1 and abs(crop - wanted).max() < 6


def test_the_box_is_of_the_picture_as_the_camera_held_it():
    upright, exif = photograph(320, 160), Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    wanted = expected(upright, random_box(DRAWS[0], 0.5), (32, 32))
    for kind in ("PNG", "JPEG", "TIFF", "MPO"):
        more = {"quality": 95} if kind in ("JPEG", "MPO") else {}
        turned = opened(np.ascontiguousarray(np.rot90(upright)), format=kind, exif=exif, **more)
        crop = resized_crop(turned, DRAWS[0], PictureFormat((32, 32), "crop"))
        assert abs(crop - wanted).mean() < 2, kind


def test_padded_pictures_keep_the_black_that_evaluation_sees():
    white = opened(np.full((100, 200, 3), 255, "uint8"))
    whole = resized_crop(white, (LAST, 0.5, 0.5, 0.5), PictureFormat((40, 40), "pad"))
    np.testing.assert_array_equal(whole[[0, 8, 12, 20, 28, 31, 39], 20, 0], [0, 0, 255, 255, 255, 0, 0])
    # The smallest part at the top: black down to the row 50 of 100 in 200, of 0.35 with a ratio of 1.
    part = resized_crop(white, (0, 0.5, 0, 0), PictureFormat((40, 40), "pad"))
    edge = 40 * 0.25 / np.sqrt(0.35)
    assert (part[..., 0].mean(axis=1) > 127).argmax() == pytest.approx(edge, abs=1)
