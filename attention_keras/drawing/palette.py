"""The colours of every picture: lines, right and wrong answers, attention, evidence, outlines."""

import matplotlib
from matplotlib.colors import LinearSegmentedColormap

SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C564B", "#999999")
"""Colours of lines (Okabe and Ito's), told apart by readers with any colour vision."""

STYLES = ("-", ":", "-.")
"""Styles of lines; the next one where the colours have all been used."""

INK = {None: "black", True: "#1a7f37", False: "#cf222e"}
"""Colour of the words under an image: True for a right answer, False for a wrong one, None for neither."""

ATTENTION = matplotlib.colormaps["inferno"]
"""Colours of attention, from low to high."""

EVIDENCE = LinearSegmentedColormap.from_list("evidence", ["#1f6fff", "#ffffff", "#ff2a1f"])
"""Colours of evidence: blue speaks against the class, red for it, white says nothing."""

OUTLINE = "#ffd33d"
"""Colour of a mask's border."""
