"""Backbones of keras_hub by the name or folder of a preset, and what each wants done to raw pixels."""

import keras
import numpy as np

from attention_keras.errors import UserError
from attention_keras.extras import needs
from attention_keras.layers.pixel_affine import PixelAffine


def build_preset(preset: str, image_shape: tuple[int, int, int] | None = None) -> keras.Model:
    """The backbone of a preset with its weights, for images `(h, w, 3)`; None for the size it was saved with.

    Transformers take their position embeddings along to another size, as keras_hub interpolates them.
    """
    size = {} if image_shape is None else {"image_shape": tuple(image_shape)}
    with needs(f"keras_hub:{preset}", extra="hub"):
        from keras_hub.models import Backbone
    try:
        return Backbone.from_preset(preset, **size)
    # keras_hub has no set of errors of its own for a name, a network, or a size that does not fit.
    except Exception as error:
        said = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise UserError(f"cannot build keras_hub:{preset}: {said[:200]}") from None


def preset_pixels(preset: str) -> PixelAffine | None:
    """Scale and offset of a preset's image converter, from RGB in [0, 255]; None without one."""
    from keras_hub.layers import ImageConverter

    try:
        converter = ImageConverter.from_preset(preset)
    except Exception:  # a preset of the backbone alone; there is no way to ask but to try
        return None
    scale, offset = (
        np.broadcast_to(np.asarray(default if value is None else value, "float64").reshape(-1), 3)
        for value, default in ((converter.scale, 1), (converter.offset, 0))
    )
    return PixelAffine([0, 1, 2], scale, offset, "channels_last", name="preprocess")
