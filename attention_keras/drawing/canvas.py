"""The one canvas: a Matplotlib figure without a screen, its pixels, and pixels as a PNG file."""

import io

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image


def new_figure(width: float, height: float, *, dpi: int = 100, layout: str | None = "constrained") -> Figure:
    """An empty white figure that no window shows and no global state remembers.

    Args:
        width, height: in inches.
        dpi: pixels per inch.
        layout: Matplotlib's layout engine; None leaves the places of the axes to the caller.
    """
    figure = Figure(figsize=(width, height), dpi=dpi, facecolor="white", layout=layout)
    FigureCanvasAgg(figure)
    return figure


def pixels(figure: Figure) -> np.ndarray:
    """The drawn figure as uint8 RGB `(h, w, 3)`.

    Example:
        >>> pixels(new_figure(2, 1)).shape
        (100, 200, 3)
    """
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()


def png(picture: np.ndarray) -> bytes:
    """A picture, uint8 RGB `(h, w, 3)`, as the content of a PNG file.

    Example:
        >>> png(np.zeros((2, 2, 3), "uint8"))[1:4]
        b'PNG'
    """
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "png")
    return buffer.getvalue()
