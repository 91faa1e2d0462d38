"""Keras layers of the method; keras.ops only, so they run on TensorFlow, JAX and PyTorch."""
