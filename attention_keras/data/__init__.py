"""Datasets as uint8 arrays and the tf.data pipeline over them."""
