"""The look of every figure: an off-screen canvas, its pixels, and the colours."""

import io

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C564B", "#999999")
"""Colours of lines (Okabe and Ito's), told apart by readers with any colour vision."""

STYLES = ("-", ":", "-.")
"""Styles of lines; the next one where the colours have all been used."""

INK = {None: "black", True: "#1a7f37", False: "#cf222e"}
"""Colour of the words under an image: True for a right answer, False for a wrong one, None for neither."""

ATTENTION = (matplotlib.colormaps["inferno"](np.arange(256))[:, :3] * 255).round().astype("uint8")
"""Colours of attention `(256, 3)`, from low to high."""

AGAINST, FOR = np.array([0x1F, 0x6F, 0xFF]), np.array([0xFF, 0x2A, 0x1F])
_SHARE = np.linspace(-1, 1, 256)[:, None]
EVIDENCE = (255 + abs(_SHARE) * (np.where(_SHARE < 0, AGAINST, FOR) - 255)).round().astype("uint8")
"""Colours of evidence `(256, 3)`: blue speaks against the class, red for it, white says nothing."""

OUTLINE = (0xFF, 0xD3, 0x3D)
"""Colour of a mask's border."""


def new_figure(width: float, height: float, *, dpi: int = 100, layout: str | None = "constrained") -> Figure:
    """An empty white figure, in inches, that no window shows and no global state remembers.

    With `layout` None the caller positions the axes.
    """
    figure = Figure(figsize=(width, height), dpi=dpi, facecolor="white", layout=layout)
    FigureCanvasAgg(figure)
    return figure


def pixels(figure: Figure) -> np.ndarray:
    """The drawn figure as uint8 RGB `(h, w, 3)`."""
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()


def png(image: np.ndarray) -> bytes:
    """An image, uint8 RGB `(h, w, 3)`, as the content of a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "png", compress_level=1)  # 6 takes thrice as long for a tenth less
    return buffer.getvalue()
