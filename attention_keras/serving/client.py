"""Ask a model server about pictures: the most likely classes, and where the model looked."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from attention_keras.data.geometry import MEGAPIXELS, Resize, crop_box, padded_box
from attention_keras.data.image_files import UnreadableImage, open_image, upright_rgb
from attention_keras.drawing.maps import overlay
from attention_keras.errors import UserError
from attention_keras.models.outputs import attention_maps
from attention_keras.runs.file_names import LABELS
from attention_keras.serving.card import LABELS_FILE
from attention_keras.serving.connection import Connection

SENT_UNCHANGED = ("JPEG", "MPO", "PNG")
"""What TensorFlow decodes to the pixels of `upright_rgb`; palettes of BMP and transparent colours of GIF it
does not."""
SMALLEST_SIDE, LARGEST_SIDE = 256, 1024
PICTURES_A_REQUEST = 16


@dataclass(frozen=True)
class Picture:
    """A file as it is sent, and its pixels `(H, W, 3)` as they are drawn on."""

    path: Path
    content: bytes
    pixels: np.ndarray

    def seen(self, shape: tuple[int, int], resize: Resize) -> np.ndarray:
        """What a map of `shape` (h, w) lies on: the part of the picture that the model saw, as it saw it."""
        height, width = self.pixels.shape[:2]
        if resize == "stretch":
            return self.pixels
        if resize == "crop":
            top, left, inner_height, inner_width = crop_box(height, width, shape)
            return self.pixels[top : top + inner_height, left : left + inner_width]
        outer = (max(height, width * shape[0] // shape[1]), max(width, height * shape[1] // shape[0]))
        top, left, *_ = padded_box(height, width, outer)
        around = [(top, outer[0] - height - top), (left, outer[1] - width - left), (0, 0)]
        return np.pad(self.pixels, around)


@dataclass(frozen=True)
class Answer:
    """What the server says of one picture: probabilities `(k,)` and maps `(h, w)` by tap; None if it could
    not be read there."""

    probabilities: np.ndarray
    maps: dict[str, np.ndarray]


def read_picture(path: str | Path, megapixels: int = MEGAPIXELS) -> Picture:
    """A picture, in a format that the served graph decodes to the pixels that `predict` reads.

    Files go out unchanged where the graph does that; turned ones (EXIF) and other formats are sent as PNG.

    Args:
        path: of the file.
        megapixels: millions of pixels above which it is refused.

    Raises:
        UserError: there is no such file, it is no picture, or it is too large.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     Image.new("I;16", (8, 6), 51_400).save(f"{folder}/grey.tiff")
        ...     picture = read_picture(f"{folder}/grey.tiff")
        >>> picture.content[1:4], picture.pixels.shape, int(picture.pixels[0, 0, 0])
        (b'PNG', (192, 256, 3), 200)
    """
    path = Path(path)
    try:
        with open_image(path, megapixels) as image:
            unchanged = image.format in SENT_UNCHANGED and not _turned(image)
            upright = upright_rgb(image)
            content = path.read_bytes() if unchanged else _png(upright)
            return Picture(path, content, _for_display(upright))
    except UnreadableImage as reason:
        raise UserError(f"cannot read {path}: {reason}") from None


def _turned(image: Image.Image) -> bool:
    orientation = 0x0112
    return image.getexif().get(orientation, 1) != 1


def _png(image: Image.Image) -> bytes:
    """The pixels alone: without the file's remarks, such as where the camera was."""
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(image)).save(buffer, "PNG")
    return buffer.getvalue()


def _for_display(image: Image.Image) -> np.ndarray:
    """Small pictures enlarged without smoothing, large ones made smaller."""
    factor = -(-SMALLEST_SIDE // max(image.size))
    if factor > 1:
        image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    image.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    return np.asarray(image)


def ask(connection: Connection, pictures: Sequence[Picture]) -> Iterator[Answer | None]:
    """One answer a picture, in order; None for what the server could not decode.

    Args:
        connection: to a model with the `serve_bytes` signature.
        pictures: any number; several go into one request.
    """
    for start in range(0, len(pictures), PICTURES_A_REQUEST):
        part = pictures[start : start + PICTURES_A_REQUEST]
        outputs = connection.call("serve_bytes", image_bytes=[picture.content for picture in part])
        maps = attention_maps(dict(sorted(outputs.items())))
        for row, valid in enumerate(outputs["valid"]):
            answer = Answer(outputs["probabilities"][row], {tap: level[row] for tap, level in maps.items()})
            yield answer if valid else None


def write_overlays(
    picture: Picture, answer: Answer, folder: Path, stem: str, resize: Resize = "crop"
) -> list[Path]:
    """`<folder>/<stem>_<tap>.png` for every map: the picture as the model saw it, the map laid over it."""
    written = []
    for tap, attention in answer.maps.items():
        written.append(folder / f"{stem}_{tap}.png")
        Image.fromarray(overlay(picture.seen(attention.shape, resize), attention)).save(written[-1])
    return written


def describe(probabilities: np.ndarray, class_names: Sequence[str] | None, top: int) -> str:
    """The `top` most likely classes in words.

    Raises:
        UserError: there are not as many names as classes.

    Example:
        >>> describe(np.array([0.1, 0.9]), ["cat", "dog"], top=2)
        'dog 90.0 %, cat 10.0 %'
    """
    if class_names is not None and len(class_names) != len(probabilities):
        raise UserError(
            f"the model has {len(probabilities)} classes, but labels gives {len(class_names)} names"
        )
    names = class_names or [f"class {number}" for number in range(len(probabilities))]
    best = np.argsort(-probabilities, kind="stable")[:top]
    return ", ".join(f"{names[number]} {probabilities[number]:.1%}".replace("%", " %") for number in best)


def read_labels(path: str | Path) -> list[str]:
    """Class names from a file of lines, a run directory, or an exported version.

    Raises:
        UserError: there are none.
    """
    path = Path(path)
    for file in (path, path / LABELS, path / LABELS_FILE):
        if file.is_file():
            try:
                return file.read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise UserError(f"cannot read class names from {file}: {error}") from None
    raise UserError(f"there is no {LABELS} at {path}; give a file with one class name a line")
