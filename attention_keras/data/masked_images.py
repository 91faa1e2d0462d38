"""Images with masks that no model here was trained on: a folder of them, or Oxford-IIIT pets."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from attention_keras.data.geometry import PictureFormat
from attention_keras.data.image_files import (
    EXTENSIONS,
    GROUND_TRUTH,
    UnreadableImage,
    mask_files,
    read_image,
    read_mask,
)
from attention_keras.data.split import Split
from attention_keras.errors import UserError

PETS = "oxford_iiit_pet"


def load_masked_images(
    name: str, to: PictureFormat, *, limit: int | None = None, data_dir: str | None = None
) -> Split:
    """Images and masks, labels all 0.

    Args:
        name: `folder:PATH` with the layout of the Object Discovery data, PATH/SET/IMAGE with
            PATH/SET/GroundTruth/IMAGE.png (or directly in PATH), white on the object; or
            `tfds:oxford_iiit_pet`, whose borders are left to the background.
        to: what images and masks are brought to.
        limit: only the first ones, of every SET in turn.
        data_dir: of TensorFlow Datasets.

    Raises:
        UserError: none of these, no pairs of image and mask, or unreadable files.
    """
    if name.startswith("folder:"):
        return _folder(Path(name.removeprefix("folder:")).expanduser(), to, limit)
    if name.removeprefix("tfds:") == PETS:
        return _pets(to, limit, data_dir)
    raise UserError(f"masks {name!r} is not known; allowed: folder:PATH, tfds:{PETS}")


def _folder(path: Path, to: PictureFormat, limit: int | None) -> Split:
    if not path.is_dir():
        raise UserError(f"{path} is not a folder; masks must be folder:PATH with images and {GROUND_TRUTH}")
    pairs = []
    for truth in sorted(path.rglob(GROUND_TRUTH)):
        known = mask_files(truth.parent)
        files = sorted(f for f in truth.parent.iterdir() if f.suffix.lower() in EXTENSIONS)
        found = [file for file in files if file.stem in known]
        pairs += [(place, file, known[file.stem]) for place, file in enumerate(found)]
    if not pairs:
        raise UserError(
            f"{path} has no image with a mask; expected {path}/SET/IMAGE.jpg and "
            f"{path}/SET/{GROUND_TRUTH}/IMAGE.png"
        )
    pairs = sorted(pairs)[:limit]
    images = np.stack([_read(read_image, image, to) for _, image, _ in pairs])
    masks = np.stack([_read(read_mask, mask, to) for _, _, mask in pairs])
    return Split(images, np.zeros(len(pairs), "int32"), masks)


def _read(read: Callable, path: Path, to: PictureFormat) -> np.ndarray:
    try:
        return read(path, to)
    except UnreadableImage as reason:
        raise UserError(f"{path} cannot be read: {reason}; repair or remove it") from None


def _pets(to: PictureFormat, limit: int | None, data_dir: str | None) -> Split:
    import tensorflow as tf

    from attention_keras.data.resize_in_graph import to_size
    from attention_keras.data.tfds_source import open_builder, prepare, whole_image

    builder = open_builder(PETS, data_dir)
    prepare(builder)

    def row(example):
        mask = tf.where(example["segmentation_mask"] == 1, 255.0, 0.0)
        mask = to_size(mask, to.size, to.resize)[..., 0] > 127
        return whole_image(example["image"], to.size, to.resize), mask

    examples = builder.as_dataset("test", shuffle_files=False).map(row).take(limit or -1)
    images, masks = zip(*examples.as_numpy_iterator())
    return Split(np.stack(images), np.zeros(len(images), "int32"), np.stack(masks))
