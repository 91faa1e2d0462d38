"""TensorFlow Datasets as a source: read into arrays, and prepared first when there is a network."""

import os
import re
import socket
import urllib.request
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from attention_keras.data.array_store import ArrayStore
from attention_keras.data.images import to_size
from attention_keras.data.pipeline import untuned
from attention_keras.data.registry import DEFAULT_SIZE, Resize
from attention_keras.data.split import ROLES, Cut, Role, Split
from attention_keras.data.table import TEST_FRACTION
from attention_keras.errors import UserError

_READ_AT_ONCE = 512
_DAMAGED = (tf.errors.NotFoundError, tf.errors.DataLossError, tf.errors.InvalidArgumentError)
_DAMAGED += (tf.errors.FailedPreconditionError,)  # of a shard without records
_NAME = re.compile(r"\w+(/[\w.+-]+)?(:[\d.*]+)?")
_TEST_SEED = 0  # a test split that is cut from train is the same for every seed of a training


def open_builder(name: str, data_dir: str | Path | None = None) -> tfds.core.DatasetBuilder:
    """The builder of a dataset, prepared or not; a version is given as `mnist:3.0.1` or `mnist/3.0.1`."""
    if not _NAME.fullmatch(name):
        raise UserError(f"{name!r} is no dataset name; type tfds:NAME, such as tfds:cifar10_1/v6")
    name = re.sub(r"/(?=\d+\.\d+\.\d+$)", ":", name)
    data_dir = Path(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()
    try:
        return tfds.builder(name, data_dir=data_dir)
    except Exception as error:  # of any kind, where the description of a prepared copy is damaged
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"TensorFlow Datasets cannot open {name!r}: {reason}") from None


def prepare(builder: tfds.core.DatasetBuilder) -> None:
    """Download and prepare what is not there yet; that there is no network is told within seconds."""
    if builder.is_prepared():
        return
    name = builder.info.full_name.rsplit("/", 1)[0]
    # Without a network, TensorFlow Datasets retries the name lookup for minutes before it says anything.
    if hosts := unreachable_hosts(builder.url_infos or [builder.info.homepage]):
        problem = f"no dataset in {builder.data_path} and {hosts} cannot be reached to download it"
    else:
        try:
            return builder.download_and_prepare()
        except (AssertionError, OSError, tfds.download.DownloadError) as error:
            problem = f"dataset {name} cannot be downloaded: {' '.join(str(error).split())}"
    raise UserError(
        f"{problem}; on a machine with a network run `tfds build {name} --data_dir DIR`, copy DIR here and "
        "give it as data_dir, or use the dataset cluttered_digits, which needs no download"
    )


def unreachable_hosts(urls: Iterable[str]) -> str | None:
    """The hosts of these addresses, where none of them answers; behind a proxy that is not known before."""
    if urllib.request.getproxies():
        return None
    hosts = {parts.netloc: parts for parts in map(urlsplit, urls) if parts.hostname}
    for parts in hosts.values():
        try:
            port = parts.port or {"http": 80}.get(parts.scheme, 443)
            socket.create_connection((parts.hostname, port), 8.0).close()
            return None
        except OSError:
            continue
    return " and ".join(hosts) or "its host"


class TfdsSource:
    """Splits of a dataset as uint8 arrays; `to_arrays` makes images and masks of a stored example."""

    def __init__(
        self,
        name: str,
        data_dir: str | Path | None,
        store: ArrayStore,
        size: tuple[int, int] | None = None,
        resize: Resize = "crop",
        to_arrays: Callable[[dict, tuple[int, int], Resize], dict] | None = None,
    ):
        self._builder = builder = open_builder(name, data_dir)
        self._image, self._label = (_key(builder, kind) for kind in ("Image", "ClassLabel"))
        if (dtype := builder.info.features[self._image].np_dtype) not in (np.uint8, np.uint16):
            raise UserError(f"images of tfds:{builder.name} are {dtype}; needed are uint8 or uint16")
        prepare(builder)
        fixed = tuple(builder.info.features[self._image].shape[:2])
        self._size = size or ((DEFAULT_SIZE,) * 2 if None in fixed else fixed)
        self._to_arrays, self._resize, self._store = to_arrays, resize, store
        self.class_names = tuple(builder.info.features[self._label].names)

    def splits(self, name: str, cut: Cut) -> tuple[Split, Split, Split | Callable[[], Split]]:
        """Training, validation and test, which is still to be read unless it was cut from the first."""
        there = self._builder.info.splits
        if "train" not in there:
            raise UserError(f"{name} has no train split, only {', '.join(there) or 'none'}")
        stored = {role: role for role in ROLES if role in there}
        if "test" not in stored and "validation" in stored:  # as in ImageNet, whose test labels nobody has
            stored = {"train": "train", "test": "validation"}
        cut.check(name, stored)

        def read(role: Role) -> Split:
            return self.read(stored[role], cut.most(role))

        def held_out(train: Split, fraction: float, seed: int) -> tuple[Split, Split]:
            kept, held = cut_by_class(train.labels, fraction, seed)
            return train.take(kept), train.take(held)

        train, test = read("train"), partial(read, "test")
        if "test" not in stored:
            train, test = held_out(train, TEST_FRACTION, _TEST_SEED)
        if "validation" in stored:
            return train, read("validation"), test
        return *held_out(train, cut.validation_fraction, cut.seed), test

    def read(self, stored: str, limit: int | None) -> Split:
        """The first `limit` images in stored order, which is shuffled once and for all."""
        count = self._builder.info.splits[stored].num_examples
        count = count if limit is None else min(count, limit)
        columns = {"images": ((count, *self._size, 3), "uint8"), "labels": ((count,), "int32")}
        if self._to_arrays:
            columns["masks"] = ((count, *self._size), "bool")
        name, data_path, part = self._builder.name, self._builder.data_path, f"{stored}[:{count}]"
        how = f"{self._resize} {self._to_arrays and self._to_arrays.__name__}"
        key = f"{self._builder.info.full_name} {data_path} {part} {columns} {how}"
        try:
            split = Split(**self._store.build(key, columns, lambda arrays: self._fill(arrays, part)))
        except _DAMAGED as error:
            reason = error.message.splitlines()[0]
            raise UserError(f"{name} in {data_path} is damaged: {reason}; copy it again") from None
        labels, last = split.labels, len(self.class_names) - 1
        if len(wrong := labels[(labels < 0) | (labels > last)]):
            found = f"{len(wrong)} of {len(labels)} labels are not in 0..{last} (one is {wrong[0]})"
            raise UserError(f"{name}, {stored} split: {found}; often -1 says that labels are not public")
        return split

    def _fill(self, arrays: dict[str, np.ndarray], part: str) -> None:
        def row(example: dict) -> dict:
            labels, how = {"labels": tf.cast(example[self._label], tf.int32)}, (self._size, self._resize)
            if self._to_arrays:
                return labels | self._to_arrays(example, *how)
            return labels | {"images": whole_image(example[self._image], *how)}

        in_stored_order = tfds.ReadConfig(interleave_cycle_length=1, add_tfds_id=False)
        examples = self._builder.as_dataset(part, shuffle_files=False, read_config=in_stored_order)
        batches = examples.map(row, tf.data.AUTOTUNE).batch(_READ_AT_ONCE).prefetch(2)
        end = 0
        for batch in untuned(batches).as_numpy_iterator():
            start, end = end, end + len(batch["labels"])
            for name, column in batch.items():
                arrays[name][start:end] = column


def _key(builder: tfds.core.DatasetBuilder, kind: str) -> str:
    """Key of the image or of the class label: the one that the dataset itself declares, or else the first."""
    features, declared = dict(builder.info.features), builder.info.supervised_keys or ()
    keys = (*(key for key in declared if isinstance(key, str)), *features)
    for key in keys:
        if isinstance(features.get(key), getattr(tfds.features, kind)):
            return key
    needed = f"it needs an Image and a ClassLabel, and has {', '.join(features)}"
    raise UserError(f"tfds:{builder.name} is not for image classification: {needed}")


def cut_by_class(labels: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers to keep and to hold out, ascending: a share of every class."""
    count = len(labels)
    shuffled = np.random.default_rng(seed).permutation(count)
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    sizes = np.bincount(labels[by_class])
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    quantile = (np.arange(count) - starts[labels[by_class]] + 0.5) / sizes[labels[by_class]]
    held = np.sort(by_class[np.argsort(quantile, kind="stable")][: max(1, round(count * fraction))])
    return np.setdiff1d(np.arange(count), held), held


def whole_image(image: tf.Tensor, size: tuple[int, int], resize: Resize) -> tf.Tensor:
    """Image `(h, w, c)` of 8 or 16 bits and 1, 3 or 4 channels as `(*size, 3)` uint8; alpha is dropped."""
    if image.dtype == tf.uint16:
        image = tf.cast(tf.bitwise.right_shift(image, 8), tf.uint8)
    image = tf.repeat(image[..., :1], 3, axis=2) if image.shape[2] < 3 else image[..., :3]
    if image.shape[:2] != size:
        image = to_size(image, size, resize)
    return tf.ensure_shape(image, (*size, 3))


def pets(example: dict, size: tuple[int, int], resize: Resize) -> dict[str, tf.Tensor]:
    """Oxford-IIIT pets with their masks, whose borders are left to the background."""
    mask = to_size(tf.where(example["segmentation_mask"] == 1, 255.0, 0.0), size, resize)[..., 0]
    return {"images": whole_image(example["image"], size, resize), "masks": mask > 127}


def birds(example: dict, size: tuple[int, int], resize: Resize) -> dict[str, tf.Tensor]:
    """CUB-200-2011: the bird's bounding box, stretched, with its segmentation mask cut likewise."""
    shape = tf.shape(example["image"])[:2]
    extent = tf.cast(tf.concat([shape, shape], axis=0), tf.float32)
    box = tf.cast(tf.round(example["bbox"] * extent), tf.int32)
    start = tf.clip_by_value(box[:2], 0, shape - 1)
    end = tf.clip_by_value(box[2:], start + 1, shape)

    def cut(image):
        return image[start[0] : end[0], start[1] : end[1]]

    # Stored masks are the share of annotators who saw bird, as 0..255.
    mask = tf.image.resize(cut(example["segmentation_mask"]), size, method="nearest")[..., 0] > 127
    return {"images": whole_image(cut(example["image"]), size, "stretch"), "masks": mask}
