from .layers.attention_pool import AttentionPool
from .layers.compatibility import CompatibilityScore
from .models.attend import attend
from .models.loading import load_model
from .models.zoo import build_model, list_models

__all__ = [
    "AttentionPool",
    "CompatibilityScore",
    "attend",
    "build_model",
    "list_models",
    "load_model",
]
