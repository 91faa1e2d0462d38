"""Keras layers of the method and its networks, for TensorFlow, JAX and PyTorch."""

from attention_keras.layers.attention_pool import AttentionPool
from attention_keras.layers.batch_norm import FusedBatchNormalization
from attention_keras.layers.compatibility import CompatibilityScore
from attention_keras.layers.ensemble import LevelEnsemble
from attention_keras.layers.gcn_zca import ContrastWhitening
from attention_keras.layers.preprocess import build_preprocess
from attention_keras.layers.progressive import ProgressiveGate
from attention_keras.layers.yuv_lcn import YUVLocalContrast

__all__ = [
    "AttentionPool",
    "CompatibilityScore",
    "ContrastWhitening",
    "FusedBatchNormalization",
    "LevelEnsemble",
    "ProgressiveGate",
    "YUVLocalContrast",
    "build_preprocess",
]
