"""Ask a model server why: evidence for the predicted class, or for another, over the picture."""

import difflib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from attention_keras.data.geometry import Resize
from attention_keras.data.image_files import fit, upright_rgb
from attention_keras.drawing.maps import largest, signed_overlay, signed_words
from attention_keras.errors import UserError
from attention_keras.models.outputs import EVIDENCE, EVIDENCE_REST, attention_maps, evidence_maps
from attention_keras.serving.client import PICTURES_A_REQUEST, Answer, Picture

ALL_LEVELS = "evidence"


class Served(Protocol):
    """A Connection, or whatever else answers signatures and knows what they take."""

    resize: Resize

    def call(self, signature: str, **inputs: Any) -> Mapping[str, np.ndarray]: ...

    def image_shape(self, signature: str) -> tuple[int | None, ...] | None: ...


@dataclass(frozen=True)
class Explanation:
    """Why a class, in one picture.

    Attributes:
        answer: probabilities, and attention at the model's image size.
        number: of the class that the evidence is for.
        evidence: maps `(H, W)`: `evidence`, of all levels, then `evidence_<tap>`; empty where the network
            has none.
        rest: what no place says; with the sum of `evidence`, the logit less the mean of all logits.
    """

    answer: Answer
    number: int
    evidence: dict[str, np.ndarray]
    rest: float

    @property
    def limit(self) -> float:
        """The end of the scale around zero that all maps share: colours compare between levels."""
        return max((largest(level) for level in self.evidence.values()), default=0.0)

    def overlays(self, picture: Picture, resize: Resize) -> dict[str, np.ndarray]:
        """The picture as the model saw it with each map of evidence over it, by the map's name."""
        return {
            name: signed_overlay(picture.seen(level.shape, resize), level, self.limit)
            for name, level in self.evidence.items()
        }


def explain(served: Served, pictures: Sequence[Picture], asked: int | None = None) -> Iterator[Explanation]:
    """One explanation a picture, in order.

    Pictures are brought to the size that the model takes here, with antialiasing; where it takes any size
    they are sent as they are, one a request.

    Args:
        served: a model with the signature `explain`, for `asked` with `explain_class`.
        pictures: any number.
        asked: the class that the evidence is for; None for the one that is most likely in each picture.

    Raises:
        UserError: the model has no such signature, or no such class.
    """
    signature = "explain" if asked is None else "explain_class"
    shape = served.image_shape(signature)
    if shape is None:
        raise UserError(f"the model has no signature {signature}, so it cannot be asked for this evidence")
    together = 1 if None in shape else PICTURES_A_REQUEST
    for start in range(0, len(pictures), together):
        images = np.stack(
            [_pixels(picture, shape, served.resize) for picture in pictures[start : start + together]]
        )
        classes = {} if asked is None else {"classes": np.full(len(images), asked, "int32")}
        outputs = served.call(signature, images=images, **classes)
        count = outputs["probabilities"].shape[-1]
        if asked is not None and not 0 <= asked < count:
            raise UserError(f"the model has classes 0 to {count - 1}; got {asked}")
        yield from _explanations(dict(sorted(outputs.items())), asked)


def _pixels(picture: Picture, shape: tuple[int | None, ...], resize: Resize) -> np.ndarray:
    """The picture as the model takes it, uint8 `(H, W, c)`."""
    height, width, channels = shape
    with Image.open(io.BytesIO(picture.content)) as opened:
        image = upright_rgb(opened)
    image = image if channels == 3 else image.convert("L")
    pixels = fit(image, (height or image.height, width or image.width), resize)
    return pixels if channels == 3 else pixels[..., None]


def _explanations(outputs: Mapping[str, np.ndarray], asked: int | None) -> Iterator[Explanation]:
    """The rows of a request's answer."""
    attention, levels = attention_maps(outputs), {}
    if ALL_LEVELS in outputs:
        taps = {f"{EVIDENCE}{tap}": level for tap, level in evidence_maps(outputs).items()}
        levels = {ALL_LEVELS: outputs[ALL_LEVELS], **taps}
    for row, probabilities in enumerate(outputs["probabilities"]):
        yield Explanation(
            Answer(probabilities, {tap: level[row] for tap, level in attention.items()}),
            int(probabilities.argmax()) if asked is None else asked,
            {name: level[row] for name, level in levels.items()},
            float(outputs[EVIDENCE_REST][row]) if levels else 0.0,
        )


def write_evidence(
    picture: Picture, explanation: Explanation, folder: Path, stem: str, resize: Resize = "crop"
) -> list[Path]:
    """`<folder>/<stem>_evidence.png`, and `<stem>_evidence_<tap>.png` for every level."""
    written = []
    for name, pixels in explanation.overlays(picture, resize).items():
        written.append(folder / f"{stem}_{name}.png")
        Image.fromarray(pixels).save(written[-1])
    return written


def describe_evidence(explanation: Explanation, class_names: Sequence[str] | None) -> str:
    """Class, sum and rest, and the ends of the scale of the colours, in words.

    Example:
        >>> level = np.array([[0.5, -0.125]])
        >>> found = Explanation(Answer(np.ones(2) / 2, {}), 1, {"evidence": level}, rest=0.25)
        >>> describe_evidence(found, ["cat", "dog"])
        'evidence for dog: +0.38 in the picture, +0.25 beside it; colours from -0.5 to +0.5 a pixel'
    """
    if not explanation.evidence:
        return "the network has no evidence: its logits are no sum over places"
    name = class_names[explanation.number] if class_names else f"class {explanation.number}"
    total = float(explanation.evidence[ALL_LEVELS].sum())
    low, high = signed_words(explanation.limit)
    return (
        f"evidence for {name}: {total:+.2g} in the picture, {explanation.rest:+.2g} beside it; "
        f"colours from {low} to {high} a pixel"
    )


def class_number(asked: str, class_names: Sequence[str] | None) -> int:
    """The number of a class that is asked for by name or number; a name goes first.

    Raises:
        UserError: there is no such class, or several of that name.

    Example:
        >>> class_number("dog", ["cat", "dog"]), class_number("7", None)
        (1, 7)
    """
    names = list(class_names or [])
    numbers = [number for number, name in enumerate(names) if name == asked]
    if len(numbers) == 1:
        return numbers[0]
    if numbers:
        raise UserError(f"classes {', '.join(map(str, numbers))} are called {asked}; give the number")
    if asked.isascii() and asked.isdigit():
        if names and int(asked) >= len(names):
            raise UserError(f"the model has classes 0 to {len(names) - 1}; got {asked}")
        return int(asked)
    if not names:
        raise UserError(f"class {asked!r} is no number; names need --labels")
    close = difflib.get_close_matches(asked, names, n=1)
    raise UserError(f"there is no class {asked!r}" + (f"; perhaps you meant {close[0]}" if close else ""))
