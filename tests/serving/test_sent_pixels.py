"""What `ask` sends is decoded to the pixels that `predict` reads, for every kind of file."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from stand_in_server import StandInServer

from attention_keras.data.geometry import PictureFormat
from attention_keras.data.image_files import read_image
from attention_keras.serving.client import read_picture
from attention_keras.serving.decode import decode_pictures
from attention_keras.serving.explanations import _pixels

HEIGHT, WIDTH = 20, 24
RNG = np.random.default_rng(0)
SMOOTH = Image.fromarray(RNG.integers(0, 256, (4, 5, 3), dtype="uint8")).resize((WIDTH, HEIGHT))
GREY, BINARY, CMYK = SMOOTH.convert("L"), SMOOTH.convert("1"), SMOOTH.convert("CMYK")
RGBA = Image.fromarray(RNG.integers(0, 256, (HEIGHT, WIDTH, 4), dtype="uint8"))
GREY_16 = Image.fromarray(RNG.integers(0, 1 << 16, (HEIGHT, WIDTH)).astype("uint16"))
PALETTE, PALETTE_16, PALETTE_2 = (SMOOTH.quantize(colours) for colours in (200, 16, 2))


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return {"exif": exif}


def png(depth, colour_type, channels):
    """A PNG of random bits: Pillow writes no 16 bits in colour, and no 2 bits in grey."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, colour_type, 0, 0, 0)
    rows = [b"\0" + RNG.bytes(WIDTH * channels * depth // 8) for _ in range(HEIGHT)]
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"".join(rows))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


UNCHANGED = {
    "rgb.jpg": saved(SMOOTH, "JPEG"),
    "halved_colours.jpg": saved(SMOOTH, "JPEG", subsampling=2),
    "progressive.jpg": saved(SMOOTH, "JPEG", progressive=True),
    "grey.jpg": saved(GREY, "JPEG"),
    "cmyk.jpg": saved(CMYK, "JPEG"),
    "two_views.jpg": saved(SMOOTH, "MPO", save_all=True, append_images=[SMOOTH]),
    "rgb.png": saved(SMOOTH, "PNG"),
    "rgba.png": saved(RGBA, "PNG"),
    "grey.png": saved(GREY, "PNG"),
    "grey_alpha.png": saved(RGBA.convert("LA"), "PNG"),
    "grey_2_bits.png": png(2, 0, 1),
    "grey_16_bits.png": saved(GREY_16, "PNG"),
    "rgb_16_bits.png": png(16, 2, 3),
    "rgba_16_bits.png": png(16, 6, 4),
    "binary.png": saved(BINARY, "PNG"),
    "palette.png": saved(PALETTE, "PNG"),
    "palette_4_bits.png": saved(PALETTE_16, "PNG", bits=4),
    "palette_transparent.png": saved(PALETTE, "PNG", transparency=3),
    "palette_alpha.png": saved(PALETTE, "PNG", transparency=bytes(range(200))),
    "rgb_transparent.png": saved(SMOOTH, "PNG", transparency=SMOOTH.getpixel((0, 0))),
}
AS_PNG = {
    "turned.jpg": saved(SMOOTH, "JPEG", **turned(6)),
    "mirrored.jpg": saved(SMOOTH, "JPEG", **turned(2)),
    "turned_grey_16_bits.png": saved(GREY_16, "PNG", **turned(8)),
    "rgb.bmp": saved(SMOOTH, "BMP"),
    "grey.bmp": saved(GREY, "BMP"),
    "palette.bmp": saved(PALETTE, "BMP"),
    "palette_16_colours.bmp": saved(PALETTE_16, "BMP"),
    "binary.bmp": saved(BINARY, "BMP"),
    "rgba.bmp": saved(RGBA, "BMP"),
    "palette.gif": saved(PALETTE, "GIF"),
    "transparent.gif": saved(PALETTE, "GIF", transparency=3),
    "moving.gif": saved(PALETTE, "GIF", save_all=True, append_images=[PALETTE_2]),
    "rgb.tiff": saved(SMOOTH, "TIFF"),
    "grey_16_bits.tiff": saved(GREY_16, "TIFF"),
    "cmyk.tiff": saved(CMYK, "TIFF"),
    "palette.tiff": saved(PALETTE, "TIFF"),
    "turned.tiff": saved(SMOOTH, "TIFF", **turned(3)),
    "rgb.ppm": saved(SMOOTH, "PPM"),
    "grey_16_bits.pgm": saved(GREY_16, "PPM"),
    "lossy.webp": saved(SMOOTH, "WEBP"),
    "rgba.webp": saved(RGBA, "WEBP", lossless=True),
}
FILES = UNCHANGED | AS_PNG
ON_ITS_SIDE = ("turned.jpg", "turned_grey_16_bits.png")


@pytest.mark.parametrize("name", FILES)
def test_the_graph_decodes_what_predict_reads(name, tmp_path):
    (tmp_path / name).write_bytes(FILES[name])
    picture = read_picture(tmp_path / name)
    size = (WIDTH, HEIGHT) if name in ON_ITS_SIDE else (HEIGHT, WIDTH)
    wanted = read_image(tmp_path / name, PictureFormat(size, "stretch"))
    assert wanted.std() > 20, "a picture of one colour proves nothing"
    pixels, valid = decode_pictures([picture.content], (*size, 3), "stretch")
    assert valid.numpy().all()
    np.testing.assert_array_equal(pixels[0], wanted)
    np.testing.assert_array_equal(_pixels(picture, (None, None, 3), "crop"), wanted)
    enlarged = picture.pixels.shape[0] // size[0]
    np.testing.assert_array_equal(picture.pixels[::enlarged, ::enlarged], wanted)
    assert (picture.content == FILES[name]) == (name in UNCHANGED)
    assert picture.content[:4] == b"\x89PNG" or name in UNCHANGED


@pytest.fixture(scope="module")
def server(exported):
    with StandInServer(exported) as running:
        yield running


UNREADABLE = {
    "cut.png": (FILES["rgb.png"][:300], "image file is truncated"),
    "cut.jpg": (FILES["rgb.jpg"][:-100], "image file is truncated"),
    "cut.gif": (FILES["palette.gif"][:400], ""),
    "text.jpg": (b"no picture", "not an image"),
    "empty.png": (b"", "not an image"),
    "floats.tiff": (saved(GREY.convert("F"), "TIFF"), "floating-point pixels have no agreed range"),
    "large.png": (saved(Image.new("1", (1250, 1000)), "PNG"), "1250x1000 is over 1 megapixels"),
}


@pytest.mark.parametrize("words", [[], ["--signature", "explain"]])
def test_a_file_that_cannot_be_read_gets_a_line_and_the_others_are_answered(
    server, client, words, tmp_path, capsys
):
    files = {"a.png": (FILES["rgb.png"], None), **UNREADABLE, "b.bmp": (FILES["palette.bmp"], None)}
    for name, (content, _) in files.items():
        (tmp_path / name).write_bytes(content)
    assert client(*files, "--url", server.rest_url, "--megapixels", "1", *words) == 0
    said = capsys.readouterr()
    lines = [line for line in said.out.splitlines() if not line.startswith("  ")]
    for line, (name, (_, reason)) in zip(lines, files.items(), strict=True):
        assert line.startswith(f"{name}: class " if reason is None else f"cannot read {name}: {reason}")
    assert said.err == f"warning: {len(UNREADABLE)} files could not be read; their lines say why\n"
    assert {"a_conv10.png", "b_conv13.png"} <= {file.name for file in (tmp_path / "attention").iterdir()}


@pytest.mark.parametrize("words", [[], ["--evidence-for", "1"]])
def test_a_long_name_and_a_fifo(server, client, words, tmp_path, capsys):
    long = "x" * 251 + ".png"
    (tmp_path / long).write_bytes(FILES["rgb.png"])
    os.mkfifo(tmp_path / "x.jpg")
    assert client(long, "x.jpg", "--url", server.rest_url, *words) == 0
    assert "cannot read x.jpg: not a regular file" in capsys.readouterr().out
    assert all(file.name.startswith("x" * 150 + "_") for file in (tmp_path / "attention").iterdir())


def test_nothing_is_asked_where_nothing_can_be_read(server, client, tmp_path, capsys):
    (tmp_path / "text.png").write_text("no picture")
    server.requests = 0
    assert client("text.png", "--url", server.rest_url) == 0
    assert capsys.readouterr().out == "cannot read text.png: not an image\n" and server.requests == 0
