"""Attention as pictures: maps enlarged, laid over the image, and set in panels with titles and a scale."""

import math
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

COLORS = matplotlib.colormaps["inferno"]
CELL_INCHES, DPI = 2.3, 100


def upsample(attention: np.ndarray, size: tuple[int, int], how: str = "bilinear") -> np.ndarray:
    """A map `(h, w)` at `size` (H, W), pixel centres aligned and edges held, values untouched.

    Args:
        attention: the map.
        size: height and width wanted.
        how: `bilinear`, or `nearest` to show the cells as they are.

    Raises:
        ValueError: `how` is neither.

    Example:
        >>> upsample(np.array([[0.0, 1.0]]), (1, 4)).tolist()
        [[0.0, 0.25, 0.75, 1.0]]
    """
    if how not in ("bilinear", "nearest"):
        raise ValueError(f"how must be bilinear or nearest; got {how!r}")
    rows, columns = (_weights(old, new, how) for old, new in zip(attention.shape, size))
    return rows @ np.asarray(attention, "float64") @ columns.T


def _weights(old: int, new: int, how: str) -> np.ndarray:
    """Interpolation matrix `(new, old)` of one axis."""
    centre = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    if how == "nearest":
        centre = np.minimum((np.arange(new) + 0.5) * old // new, old - 1)
    low = np.floor(centre).astype(int)
    high = np.minimum(low + 1, old - 1)
    weights = np.zeros((new, old))
    weights[np.arange(new), low] += 1 - (centre - low)
    weights[np.arange(new), high] += centre - low
    return weights


def normalize(attention: np.ndarray, maximum: float | None = None) -> np.ndarray:
    """A map in [0, 1]: from its own minimum to its maximum, or from 0 to a given `maximum` (shared scale).

    A constant map gives zeros, never NaN.
    """
    low = 0.0 if maximum is not None else float(attention.min())
    high = float(attention.max()) if maximum is None else maximum
    return np.clip((attention - low) / (high - low), 0, 1) if high > low else np.zeros_like(attention)


def overlay(image: np.ndarray, attention: np.ndarray, maximum: float | None = None, strength: float = 0.65):
    """The image `(H, W, 3)` uint8 with the map laid over it in colour; hot is where the model looks.

    The image fades to grey where attention is low, so that colour always means attention.

    Args:
        image: RGB pixels.
        attention: map `(h, w)` of any size.
        maximum: top of the scale; by default the map's own maximum.
        strength: opacity of the colours.

    Returns:
        uint8 `(H, W, 3)`.
    """
    heat = normalize(upsample(attention, image.shape[:2]), maximum)
    grey = image @ np.array([0.299, 0.587, 0.114])
    colors = COLORS(heat)[..., :3] * 255
    return np.clip((1 - strength) * grey[..., None] + strength * colors, 0, 255).round().astype("uint8")


def panel(
    image: np.ndarray,
    maps: Mapping[str, np.ndarray],
    title: str = "",
    *,
    correct: bool | None = None,
    shared_scale: bool = False,
) -> np.ndarray:
    """One picture: the image, then each map over it with its name, its maximum and a colour scale.

    Args:
        image: uint8 `(H, W, 3)`; small images are enlarged without smoothing.
        maps: name -> map `(h, w)`.
        title: for example the true and the predicted class.
        correct: colours the title green or red.
        shared_scale: one scale from 0 to the largest value of all maps, instead of one for each map.

    Returns:
        uint8 RGB `(height, width, 3)`.
    """
    columns = 1 + len(maps)
    figure = Figure(figsize=(max(columns * CELL_INCHES, 4.2), CELL_INCHES + 0.75), dpi=DPI, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(1, columns, squeeze=False)[0]
    figure.subplots_adjust(left=0.01, right=0.99, top=0.8, bottom=0.1, wspace=0.06)
    color = {None: "black", True: "#1a7f37", False: "#cf222e"}[correct]
    figure.suptitle(title, fontsize=14, color=color, y=0.985)
    size = tuple(side * max(1, round(CELL_INCHES * DPI / max(image.shape[:2]))) for side in image.shape[:2])
    enlarged = np.kron(image, np.ones((size[0] // image.shape[0], size[1] // image.shape[1], 1), "uint8"))
    axes[0].imshow(enlarged)
    axes[0].set_title("input", fontsize=12)
    top = max((float(m.max()) for m in maps.values()), default=0.0) if shared_scale else None
    for axis, (name, attention) in zip(axes[1:], maps.items()):
        axis.imshow(overlay(enlarged, np.asarray(attention, "float64"), top))
        low = 0.0 if shared_scale else float(attention.min())
        high = top if shared_scale else float(attention.max())
        axis.set_title(f"{name}  {attention.shape[0]}x{attention.shape[1]}", fontsize=12)
        _scale(figure, axis, low, high)
    for axis in axes:
        axis.set_axis_off()
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _scale(figure: Figure, axis, low: float, high: float) -> None:
    """A thin colour bar under the map, labelled with the values at its ends."""
    box = axis.get_position()
    bar = figure.add_axes((box.x0 + 0.25 * box.width, 0.055, 0.5 * box.width, 0.028))
    bar.imshow(np.linspace(0, 1, 128)[None], aspect="auto", cmap=COLORS)
    bar.set_axis_off()
    figure.text(box.x0 + 0.23 * box.width, 0.068, f"{low:.2g}", fontsize=9, ha="right", va="center")
    figure.text(box.x0 + 0.77 * box.width, 0.068, f"{high:.2g}", fontsize=9, ha="left", va="center")


def attention_maps(outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The attention outputs of a model, `attention_<tap>` -> `<tap>`, from early to late levels.

    Early levels have the larger maps; outputs of a SavedModel or a server come in no order.
    """
    prefix = "attention_"
    maps = {name.removeprefix(prefix): value for name, value in outputs.items() if name.startswith(prefix)}
    return dict(sorted(maps.items(), key=lambda item: -math.prod(side or 0 for side in item[1].shape[-2:])))


def prediction_title(probabilities: np.ndarray, class_names: Sequence[str], label: int | None = None):
    """Title of a panel, and whether the prediction is right (None without a label).

    Args:
        probabilities: `(k,)`.
        class_names: k names.
        label: the true class, where it is known.
    """
    predicted = int(probabilities.argmax())
    title = f"predicted: {class_names[predicted]} ({probabilities[predicted]:.0%})"
    if label is None:
        return title, None
    return f"true: {class_names[label]}    {title}", predicted == int(label)
