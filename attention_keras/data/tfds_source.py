"""Reading TensorFlow Datasets into arrays, and preparing them when there is a network."""

import os
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from attention_keras.data.connection import unreachable_host
from attention_keras.data.split import Split
from attention_keras.errors import UserError

READ_BATCH = 1024


def open_builder(name: str, data_dir: str | Path | None = None) -> tfds.core.DatasetBuilder:
    """The builder of a prepared dataset; downloads and prepares it first if need be and possible.

    Args:
        name: a TensorFlow Datasets name, such as `svhn_cropped`.
        data_dir: its data directory; by default `TFDS_DATA_DIR` or `~/tensorflow_datasets`.

    Raises:
        UserError: no such dataset, or it is not prepared and its host cannot be reached.
    """
    data_dir = Path(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except tfds.core.registered.DatasetNotFoundError:
        raise UserError(f"TensorFlow Datasets has no dataset {name!r}; see tensorflow.org/datasets") from None
    if not builder.is_prepared():
        _prepare(builder, name, data_dir)
    return builder


def _prepare(builder: tfds.core.DatasetBuilder, name: str, data_dir: Path) -> None:
    # Without a network, TensorFlow Datasets retries the name lookup for minutes before it says anything.
    host = unreachable_host(builder.url_infos or [builder.info.homepage])
    if host:
        raise UserError(
            f"dataset {name} is not in {data_dir} and {host} cannot be reached to download it; "
            f"on a machine with a network run `tfds build {name} --data_dir DIR`, copy DIR here and pass "
            "--data-dir DIR, or use --dataset cluttered_digits, which needs no download"
        )
    builder.download_and_prepare()


def class_names(builder: tfds.core.DatasetBuilder, label: str = "label") -> tuple[str, ...]:
    """Names of the classes, by label."""
    return tuple(builder.info.features[label].names)


def read_split(builder: tfds.core.DatasetBuilder, split: str, limit: int | None = None) -> Split:
    """Read `split` (its first `limit` images) in stored order."""
    total = builder.info.splits[split].num_examples
    count = min(total, limit or total)
    config = tfds.ReadConfig(interleave_cycle_length=1, add_tfds_id=False)
    stored = builder.as_dataset(split=f"{split}[:{count}]", shuffle_files=False, read_config=config)
    images = np.empty((count, *builder.info.features["image"].shape), "uint8")
    labels = np.empty(count, "int32")
    start = 0
    pairs = stored.map(lambda example: (example["image"], example["label"]))
    for image_batch, label_batch in pairs.batch(READ_BATCH).prefetch(2).as_numpy_iterator():
        end = start + len(label_batch)
        images[start:end], labels[start:end] = image_batch, label_batch
        start = end
    return Split(images, labels)
