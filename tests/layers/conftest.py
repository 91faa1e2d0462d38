"""Gradients by whichever backend runs the tests."""

import keras
import pytest


def _gradients(loss, *arrays):
    """d loss / d array as NumPy arrays; `loss` maps float32 tensors, one for each array, to a scalar."""
    if keras.backend.backend() == "jax":
        import jax

        tensors = [jax.numpy.asarray(array, "float32") for array in arrays]
        found = jax.grad(loss, argnums=tuple(range(len(arrays))))(*tensors)
    elif keras.backend.backend() == "torch":
        import torch

        tensors = [torch.tensor(array, dtype=torch.float32, requires_grad=True) for array in arrays]
        found = torch.autograd.grad(loss(*tensors), tensors)
    else:
        import tensorflow as tf

        tensors = [tf.constant(array, tf.float32) for array in arrays]
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            value = loss(*tensors)
        found = tape.gradient(value, tensors)
    return [keras.ops.convert_to_numpy(gradient) for gradient in found]


@pytest.fixture
def gradients():
    return _gradients
