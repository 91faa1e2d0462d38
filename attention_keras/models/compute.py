"""Size and compute of a model, counted on its graph."""

import math

import keras

from attention_keras.layers.attention_pool import AttentionPool


def count_parameters(model: keras.Model) -> int:
    """Trainable parameters, as the paper counts them."""
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)


def count_macs(model: keras.Model) -> int:
    """Multiply-adds of one forward pass of one image."""
    return sum(_layer_macs(layer) for layer in model.layers)


def _layer_macs(layer) -> int:
    if isinstance(layer, keras.Model):
        return count_macs(layer)
    if isinstance(layer, (keras.layers.DepthwiseConv2D, keras.layers.Conv2D)):
        return math.prod(layer.output.shape[1:3]) * math.prod(layer.kernel.shape)
    if isinstance(layer, keras.layers.SeparableConv2D):
        kernels = (layer.depthwise_kernel, layer.pointwise_kernel)
        return math.prod(layer.output.shape[1:3]) * sum(math.prod(kernel.shape) for kernel in kernels)
    if isinstance(layer, keras.layers.Dense):  # of images of any size: for one place
        return math.prod(layer.kernel.shape) * math.prod(side or 1 for side in layer.output.shape[1:-1])
    if isinstance(layer, AttentionPool) or getattr(layer, "compat", "mean") != "mean":
        return math.prod(layer.input[0].shape[1:])
    return 0
