"""Image files in the served graph: the pixels that `predict` reads, and bad files that cost their own row."""

import io
from typing import get_args

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from attention_keras.data.image_files import UnreadableImage
from attention_keras.data.images import PictureFormat, read_image
from attention_keras.data.registry import Resize
from attention_keras.serving.signatures import decode_images

HEIGHT, WIDTH = 20, 24
RNG = np.random.default_rng(0)
SMOOTH = Image.fromarray(RNG.integers(0, 256, (4, 5, 3), dtype="uint8")).resize((WIDTH, HEIGHT))
RGBA = Image.fromarray(RNG.integers(0, 256, (HEIGHT, WIDTH, 4), dtype="uint8"))
DEEP = RNG.integers(0, 1 << 16, (HEIGHT, WIDTH, 3)).astype("uint16")
PALETTE, GREY = SMOOTH.quantize(200), SMOOTH.convert("L")


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


FILES = {
    "rgb.jpg": saved(SMOOTH, "JPEG"),
    "halved_colours.jpg": saved(SMOOTH, "JPEG", subsampling=2),
    "progressive.jpg": saved(SMOOTH, "JPEG", progressive=True),
    "grey.jpg": saved(GREY, "JPEG"),
    "cmyk.jpg": saved(SMOOTH.convert("CMYK"), "JPEG"),
    "rgb.bmp": saved(SMOOTH, "BMP"),
    "palette.gif": saved(PALETTE, "GIF"),
    "rgb_16_bits.png": tf.io.encode_png(DEEP).numpy(),  # Pillow writes none
    "palette_alpha.png": saved(PALETTE, "PNG", transparency=bytes(range(200))),
}
PNG = {"rgb": SMOOTH, "rgba": RGBA, "grey": GREY, "alpha": RGBA.convert("LA"), "palette": PALETTE}
PNG |= {"grey_16_bits": Image.fromarray(DEEP[..., 0]), "binary": SMOOTH.convert("1")}
FILES |= {f"{name}.png": saved(image, "PNG") for name, image in PNG.items()}
BAD = {"cut.png": FILES["rgb.png"][:300], "cut.jpg": FILES["rgb.jpg"][:-100]}
BAD |= {"text.jpg": b"no image", "empty.png": b"", "header.png": b"\x89PNG"}


def test_the_graph_decodes_what_predict_reads(tmp_path):
    """Within one level of grey, and four in a JPEG, whose colours decoders may round."""
    wrong = []
    for resize, size in zip(get_args(Resize), ((HEIGHT, WIDTH), (16, 12), (32, 32)), strict=True):
        pixels, valid = decode_images(list(FILES.values()), (*size, 3), resize)
        assert valid.numpy().all()
        for (name, content), decoded in zip(FILES.items(), pixels.numpy(), strict=True):
            (tmp_path / name).write_bytes(content)
            wanted = read_image(tmp_path / name, PictureFormat(size, resize)).astype(int)
            assert wanted.std() > 10, "an image of one colour proves nothing"
            difference = np.abs(decoded - wanted).max()
            if difference > (4 if name.endswith(".jpg") else 1):
                wrong.append((name, resize, size, difference))
    assert not wrong
    pixels, valid = decode_images([FILES["grey.png"], FILES["rgb.jpg"]], (HEIGHT, WIDTH, 1), "crop")
    assert valid.numpy().all() and pixels.shape == (2, HEIGHT, WIDTH, 1)
    np.testing.assert_array_equal(pixels[0, ..., 0], GREY)


def test_hostile_bytes_cost_their_own_row(served, images, expected, tmp_path):
    files = {"whole.png": saved(Image.fromarray(images[1]), "PNG"), **BAD}
    answers = served["serve_bytes"](image_bytes=list(files.values()))
    assert answers["valid"].tolist() == [True] + [False] * len(BAD)
    np.testing.assert_allclose(answers["probabilities"][0], expected["probabilities"][1], atol=1e-5)
    assert not answers["probabilities"][1:].any()
    for name, content in BAD.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UnreadableImage):  # predict reads what the server reads
            read_image(tmp_path / name, PictureFormat((8, 8), "crop"))
