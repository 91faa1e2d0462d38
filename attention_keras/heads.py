"""The heads of `attend(head=...)`: what stands on the taps of a network."""

from attention_keras.models.class_head import ClassHead
from attention_keras.models.heads import LinearHead, PaperHead

__all__ = ["ClassHead", "LinearHead", "PaperHead"]
