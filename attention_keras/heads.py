"""The heads of `attend(head=...)`: what stands on the taps of a network."""

import keras  # noqa: F401 first: at the end of its import all our classes are registered, from whole modules

from attention_keras.models.class_head import ClassHead
from attention_keras.models.heads import LinearHead, PaperHead

__all__ = ["ClassHead", "LinearHead", "PaperHead"]
