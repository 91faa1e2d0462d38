"""The colours of every picture: lines, right and wrong answers, attention, outlines."""

import matplotlib

SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C564B", "#999999")
"""Colours of lines (Okabe and Ito's), told apart by readers with any colour vision."""

INK = {None: "black", True: "#1a7f37", False: "#cf222e"}
"""Colour of the words under an image: True for a right answer, False for a wrong one, None for neither."""

ATTENTION = matplotlib.colormaps["inferno"]
"""Colours of attention, from low to high."""

OUTLINE = "#ffd33d"
"""Colour of a mask's border."""
