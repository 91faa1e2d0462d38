"""Training: one config, `model.fit` under a tf.distribute strategy, exact resume."""
