from .attention_pool import AttentionPool
from .class_attention import ClassAttention
from .compatibility import CompatibilityScore
from .ensemble import LevelEnsemble, WeightedLevels
from .gcn_zca import ContrastWhitening
from .preprocess import build_preprocess
from .progressive import ProgressiveGate
from .standardize import Standardize
from .yuv_lcn import YUVLocalContrast

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
