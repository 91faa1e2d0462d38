"""Full-width training with Keras on JAX, on one GPU, without TensorFlow: see docs/performance.md."""
