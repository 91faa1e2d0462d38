"""Image files of any size from top to bottom, a band at a time, at their own resolution.

A TIFF that is not compressed, or by deflate, is read piece by piece. Of other files Pillow decodes all, at
three bytes a pixel, and what is made of it is made band by band.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, TiffImagePlugin

from attention_keras.data.images import MEGAPIXELS, decoded_small, open_image, upright_rgb, upright_size

try:
    from tifffile import TiffFile  # scikit-image brings it
except ModuleNotFoundError:
    TiffFile = None

LARGEST = 500
"""Millions of pixels of an image that Pillow decodes: 1.5 GB."""
_BY_PIECES = ("raw", "tiff_adobe_deflate", "tiff_deflate")


def read_bands(path: Path, height: int) -> Iterator[np.ndarray]:
    """Bands `(at most height, W, 3)` uint8, all but the last of this height; raises UnreadableImage."""
    with open_image(path, None) as image:
        if not _by_pieces(image):
            with open_image(path, LARGEST) as small:
                ImageOps.exif_transpose(small, in_place=True)
                for top in range(0, small.height, height):
                    band = small.crop((0, top, small.width, min(top + height, small.height)))
                    yield np.asarray(upright_rgb(band))
            return
        waiting = np.empty((0, image.width, 3), "uint8")
        for found in _tiff_rows(path):
            waiting = np.concatenate([waiting, found])
            while len(waiting) >= height:
                yield waiting[:height]
                waiting = waiting[height:]
        if len(waiting):
            yield waiting


def _by_pieces(image: Image.Image) -> bool:
    """Whether it is an upright TIFF of 8-bit colours or grey whose pieces Python's own zlib decodes."""
    return (
        TiffFile is not None
        and isinstance(image, TiffImagePlugin.TiffImageFile)
        and image.getexif().get(ExifTags.Base.Orientation, 1) == 1
        and image.mode in ("RGB", "L")
        and image.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) in (1, 2)
        and image.tag_v2.get(TiffImagePlugin.PLANAR_CONFIGURATION, 1) == 1
        and image.info.get("compression") in _BY_PIECES
    )


def _tiff_rows(path: Path) -> Iterator[np.ndarray]:
    """Rows `(n, W, 3)` of a TIFF, one row of its tiles or one strip after the other."""
    with TiffFile(path) as file:
        page = file.pages[0]
        length, width, depth = page.imagelength, page.imagewidth, page.samplesperpixel
        across = -(-width // page.tilewidth) if page.is_tiled else 1
        found = []
        for data, (_, _, top, left, _), _ in page.segments(maxworkers=1):
            if data is None:  # a tile of which a file without it says that it is empty
                data = np.zeros((1, page.tilelength, page.tilewidth, depth), "uint8")
            found.append(data[0, : length - top, : width - left])
            if len(found) == across:
                row = np.concatenate(found, axis=1)
                yield np.broadcast_to(row, (*row.shape[:2], 3))
                found = []


def check_bands(path: Path) -> None:
    """Decode an image that is read in bands; one of more than 100 megapixels is believed."""
    height, width = upright_size(path, None)
    if height * width <= MEGAPIXELS * 1e6:
        with open_image(path) as image:
            decoded_small(image)


def overview_of(bands: Iterator[np.ndarray], image_size: tuple[int, int], longest: int):
    """The bands as they come, and an array `(h, w, 3)` uint8 of at most `longest` pixels that they fill."""
    height, width = image_size
    scale = min(1.0, longest / max(height, width))
    small = np.zeros((max(1, round(height * scale)), max(1, round(width * scale)), 3), "uint8")

    def through():
        top = 0
        for band in bands:
            bottom = top + len(band)
            first, last = top * len(small) // height, bottom * len(small) // height
            if last > first:
                shrunk = Image.fromarray(np.ascontiguousarray(band))
                small[first:last] = shrunk.resize((small.shape[1], last - first), Image.Resampling.BILINEAR)
            top = bottom
            yield band

    return through(), small


def read_regions(path: Path, boxes, height: int) -> list[np.ndarray]:
    """The pixels of boxes `(left, top, right, bottom)`, at full resolution, in one pass of the file."""
    found = [np.zeros((bottom - top, right - left, 3), "uint8") for left, top, right, bottom in boxes]
    start = 0
    for band in read_bands(path, height):
        end = start + len(band)
        for pixels, (left, top, right, bottom) in zip(found, boxes):
            first, last = max(top, start), min(bottom, end)
            if last > first:
                pixels[first - top : last - top] = band[first - start : last - start, left:right]
        start = end
    return found
