"""The names a user chooses layers by. The command line reads them without importing Keras."""

from typing import Literal

Compat = Literal["dp", "pc", "scaled", "additive", "mean"]
Normalization = Literal["softmax", "sigmoid"]
Preprocessing = Literal["none", "meanstd", "yuv_lcn", "gcn_zca"]
AUTO, RAW, IMAGENET = "auto", "raw", "imagenet"
"""Further preprocessing, of a backbone that is trained already: its own, none at all, ImageNet's."""
