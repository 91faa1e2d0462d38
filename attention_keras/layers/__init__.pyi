from .attention_pool import AttentionPool
from .compatibility import CompatibilityScore
from .ensemble import LevelEnsemble
from .gcn_zca import ContrastWhitening
from .preprocess import build_preprocess
from .progressive import ProgressiveGate
from .yuv_lcn import YUVLocalContrast

__all__ = [
    "AttentionPool",
    "CompatibilityScore",
    "ContrastWhitening",
    "LevelEnsemble",
    "ProgressiveGate",
    "YUVLocalContrast",
    "build_preprocess",
]
