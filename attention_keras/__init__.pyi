from . import heads, layers
from .drawing.cells import overlay
from .errors import UserError
from .explaining.explain import explain
from .layers.attention_pool import AttentionPool
from .layers.compatibility import CompatibilityScore
from .layers.evidence import Evidence
from .models.attend import attend
from .models.classifier import Classifier
from .models.evidence import combine_evidence, evidence_model
from .models.outputs import attention_maps, evidence_maps
from .models.tiled import tiled
from .models.zoo import build_model, list_models
from .runs.model_file import load_model

__version__: str

__all__ = [
    "AttentionPool",
    "Classifier",
    "CompatibilityScore",
    "Evidence",
    "UserError",
    "attend",
    "attention_maps",
    "build_model",
    "combine_evidence",
    "evidence_maps",
    "evidence_model",
    "explain",
    "heads",
    "layers",
    "list_models",
    "load_model",
    "overlay",
    "tiled",
]
