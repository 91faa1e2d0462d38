from .attention_pool import AttentionPool, ClassAttention, ProgressiveGate
from .compatibility import CompatibilityScore
from .ensemble import LevelEnsemble, WeightedLevels
from .normalization import Standardize
from .preprocess import ContrastWhitening, YUVLocalContrast, build_preprocess

__all__ = [
    "AttentionPool",
    "ClassAttention",
    "CompatibilityScore",
    "ContrastWhitening",
    "LevelEnsemble",
    "ProgressiveGate",
    "Standardize",
    "WeightedLevels",
    "YUVLocalContrast",
    "build_preprocess",
]
