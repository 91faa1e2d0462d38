"""The names a user chooses layers by. The command line reads them without importing Keras."""

import dataclasses
from typing import Any, Literal, get_args, get_origin

from attention_keras.errors import UserError

Compat = Literal["dp", "pc", "scaled", "additive", "mean"]
Normalization = Literal["softmax", "sigmoid"]
Preprocessing = Literal["none", "meanstd", "yuv_lcn", "gcn_zca"]
AUTO, RAW, IMAGENET = "auto", "raw", "imagenet"
"""Further preprocessing, of a backbone that is trained already: its own, none at all, ImageNet's."""


def check_choices(values: Any) -> None:
    """Refuse a dataclass with a field that is none of the words that its type allows."""
    for field in dataclasses.fields(values):
        value, allowed = getattr(values, field.name), get_args(field.type)
        if get_origin(field.type) is Literal and value not in allowed:
            raise UserError(f"{field.name} must be one of {', '.join(allowed)}; got {value!r}")
