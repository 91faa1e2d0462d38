"""Ask a model server about pictures: the most likely classes, and where the model looked."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from attention_keras.data.geometry import Resize, crop_box, padded_box
from attention_keras.drawing.maps import overlay
from attention_keras.errors import UserError
from attention_keras.models.outputs import attention_maps
from attention_keras.runs.file_names import LABELS
from attention_keras.serving.card import LABELS_FILE
from attention_keras.serving.connection import Connection

READ_BY_THE_GRAPH = ("JPEG", "PNG", "BMP", "GIF")
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


def read_picture(path: str | Path) -> Picture:
    """A picture, upright, in a format that the served graph decodes.

    Files go out unchanged where the graph reads them; turned ones (EXIF) and other formats are sent as PNG.

    Raises:
        UserError: there is no such file, or it is no picture.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            upright = ImageOps.exif_transpose(image)
            if image.format not in READ_BY_THE_GRAPH or upright.size != image.size or _turned(image):
                buffer = io.BytesIO()
                upright.convert("RGB").save(buffer, "PNG")
                content = buffer.getvalue()
            pixels = _for_display(upright.convert("RGB"))
    except OSError as error:
        if isinstance(error, UnidentifiedImageError):
            raise UserError(f"{path} is not a picture that can be read here") from None
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"cannot read {path}: {error}") from None
    return Picture(path, content, pixels)


def _turned(image: Image.Image) -> bool:
    orientation = 0x0112
    return image.getexif().get(orientation, 1) != 1


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
