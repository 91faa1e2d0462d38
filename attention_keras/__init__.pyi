from . import heads, layers
from .errors import UserError
from .layers.attention_pool import AttentionPool
from .layers.compatibility import CompatibilityScore
from .models.attend import attend
from .models.classifier import Classifier
from .models.evidence import combine_evidence, evidence_model
from .models.zoo import build_model, list_models
from .runs.model_file import load_model

__version__: str

__all__ = [
    "AttentionPool",
    "Classifier",
    "CompatibilityScore",
    "UserError",
    "attend",
    "build_model",
    "combine_evidence",
    "evidence_model",
    "heads",
    "layers",
    "list_models",
    "load_model",
]
