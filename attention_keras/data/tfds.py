"""TensorFlow Datasets as a source: read into arrays, and prepared first when there is a network."""

import os
import re
import socket
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from attention_keras.data.array_store import ArrayStore
from attention_keras.data.images import PictureFormat, to_size
from attention_keras.data.pipeline import untuned
from attention_keras.data.registry import DEFAULT_SIZE, PETS, Resize
from attention_keras.data.split import Role, Split
from attention_keras.errors import UserError

_READ_AT_ONCE = 512
_NAME = re.compile(r"\w+(/[\w.+-]+)?(:[\d.*]+)?")


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
    advice = (
        f"on a machine with a network run `tfds build {name} --data_dir DIR`, copy DIR here and give it as "
    )
    advice += "data_dir, or use the dataset cluttered_digits, which needs no download"
    # Without a network, TensorFlow Datasets retries the name lookup for minutes before it says anything.
    if hosts := unreachable_hosts(builder.url_infos or [builder.info.homepage]):
        missing = f"no dataset in {builder.data_path} and {hosts} cannot be reached to download it"
        raise UserError(f"{missing}; {advice}")
    try:
        builder.download_and_prepare()
    except (AssertionError, OSError, tfds.download.DownloadError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"dataset {name} cannot be downloaded: {reason}; {advice}") from None


def unreachable_hosts(urls: Iterable[str], seconds: float = 8.0) -> str | None:
    """The hosts of these addresses, where none of them answers; behind a proxy that is not known before."""
    if urllib.request.getproxies():
        return None
    hosts = {parts.netloc: parts for parts in map(urlsplit, urls) if parts.hostname}
    for parts in hosts.values():
        try:
            port = parts.port or {"http": 80}.get(parts.scheme, 443)
            socket.create_connection((parts.hostname, port), seconds).close()
        except OSError:
            continue
        return None
    return " and ".join(hosts) or "its host"


class TfdsSource:
    """Splits of a dataset as uint8 arrays, prepared here if need be.

    `image_size` None keeps a size that the dataset fixes, else takes 32. `to_arrays` makes images and masks
    of a stored example and a size; by default the whole image alone.
    """

    def __init__(
        self,
        builder: tfds.core.DatasetBuilder,
        store: ArrayStore,
        image_size: int | None = None,
        resize: Resize = "crop",
        to_arrays: Callable[[dict, tuple[int, int]], dict] | None = None,
    ):
        self._builder, self._store = builder, store
        self._image, self._label = _image_and_label(builder)
        prepare(builder)
        fixed = tuple(builder.info.features[self._image].shape[:2])
        self._size = (image_size or DEFAULT_SIZE,) * 2 if image_size or None in fixed else fixed
        self._to_arrays, self._resize = to_arrays, resize
        self._splits = _splits(builder)
        self.roles = frozenset(self._splits)
        self.class_names = tuple(builder.info.features[self._label].names)

    def read(self, role: Role, limit: int | None) -> Split:
        """The first `limit` images in stored order, which is shuffled once and for all."""
        count = self._builder.info.splits[self._splits[role]].num_examples
        count = count if limit is None else min(count, limit)
        stored = f"{self._splits[role]}[:{count}]"
        columns = {"images": ((count, *self._size, 3), "uint8"), "labels": ((count,), "int32")}
        if self._to_arrays:
            columns["masks"] = ((count, *self._size), "bool")
        how = self._to_arrays.__name__ if self._to_arrays else self._resize
        key = f"{self._builder.info.full_name} {self._builder.data_path} {stored} {columns} {how}"
        try:
            return Split(**self._store.build(key, columns, lambda arrays: self._fill(arrays, stored)))
        except (tf.errors.NotFoundError, tf.errors.DataLossError, tf.errors.InvalidArgumentError) as error:
            reason = error.message.splitlines()[0]
            raise UserError(
                f"the copy of {self._builder.name} in {self._builder.data_path} is damaged: {reason}; "
                "copy it again, or delete that folder to prepare it anew"
            ) from None

    def _fill(self, arrays: dict[str, np.ndarray], stored: str) -> int:
        def row(example: dict) -> dict:
            labels = {"labels": tf.cast(example[self._label], tf.int32)}
            if self._to_arrays:
                return labels | self._to_arrays(example, self._size)
            return labels | {"images": whole_image(example[self._image], self._size, self._resize)}

        in_stored_order = tfds.ReadConfig(interleave_cycle_length=1, add_tfds_id=False)
        examples = self._builder.as_dataset(stored, shuffle_files=False, read_config=in_stored_order)
        batches = examples.map(row, tf.data.AUTOTUNE).batch(_READ_AT_ONCE).prefetch(2)
        end = 0
        for batch in untuned(batches).as_numpy_iterator():
            start, end = end, end + len(batch["labels"])
            for name, column in batch.items():
                arrays[name][start:end] = column
        return end


def _image_and_label(builder: tfds.core.DatasetBuilder) -> tuple[str, str]:
    """Keys of the image and the class label, from the dataset's own declaration if it has one."""
    features, keys = dict(builder.info.features), builder.info.supervised_keys
    kinds = (tfds.features.Image, tfds.features.ClassLabel)
    if not keys or len(keys) != 2:
        keys = [
            next((k for k, feature in features.items() if isinstance(feature, kind)), None) for kind in kinds
        ]
    image, label = keys
    if not all(isinstance(features.get(key), kind) for key, kind in zip(keys, kinds)):
        raise UserError(
            f"tfds:{builder.name} is not for image classification: it needs an Image and a ClassLabel, and "
            f"has {', '.join(features)}"
        )
    if features[image].np_dtype not in (np.uint8, np.uint16):
        raise UserError(
            f"images of tfds:{builder.name} are {features[image].np_dtype}; needed are uint8 or uint16"
        )
    return image, label


def _splits(builder: tfds.core.DatasetBuilder) -> dict[Role, str]:
    """Which stored split is read for a role."""
    stored = builder.info.splits
    if "train" not in stored:
        raise UserError(f"tfds:{builder.name} has no train split, only {', '.join(stored) or 'none'}")
    if "test" in stored:
        return {role: role for role in ("train", "validation", "test") if role in stored}
    if "validation" in stored:  # as in ImageNet, whose test labels are not public
        return {"train": "train", "test": "validation"}
    return {"train": "train"}


def read_pets(to: PictureFormat, limit: int | None, data_dir: str | None) -> Split:
    """Test images of Oxford-IIIT pets with their masks, whose borders are left to the background."""
    builder = open_builder(PETS, data_dir)
    prepare(builder)

    def row(example):
        mask = to_size(tf.where(example["segmentation_mask"] == 1, 255.0, 0.0), to.size, to.resize)[..., 0]
        return whole_image(example["image"], to.size, to.resize), example["label"], mask > 127

    examples = builder.as_dataset("test", shuffle_files=False).map(row).take(limit or -1)
    images, labels, masks = (np.stack(column) for column in zip(*examples.as_numpy_iterator()))
    return Split(images, labels, masks)


def whole_image(image: tf.Tensor, size: tuple[int, int], resize: Resize) -> tf.Tensor:
    """Image `(h, w, c)` of 8 or 16 bits and 1, 3 or 4 channels as `(*size, 3)` uint8; alpha is dropped."""
    if image.dtype == tf.uint16:
        image = tf.cast(tf.bitwise.right_shift(image, 8), tf.uint8)
    image = tf.repeat(image[..., :1], 3, axis=2) if image.shape[2] < 3 else image[..., :3]
    if image.shape[:2] != size:
        image = to_size(image, size, resize)
    return tf.ensure_shape(image, (*size, 3))


def birds(example: dict, size: tuple[int, int]) -> dict[str, tf.Tensor]:
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
