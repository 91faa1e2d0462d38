"""Images with masks that no model here was trained on: a folder of them, or Oxford-IIIT pets."""

from pathlib import Path

import numpy as np

from attention_keras.data.folders import GROUND_TRUTH, mask_files
from attention_keras.data.geometry import PictureFormat
from attention_keras.data.images import EXTENSIONS, UnreadableImage, read_image, read_mask
from attention_keras.data.split import Split
from attention_keras.errors import UserError

PETS = "oxford_iiit_pet"


def load_masked_images(
    name: str, to: PictureFormat, *, limit: int | None = None, data_dir: str | None = None
) -> Split:
    """Images and masks, labels all 0; of a folder the first `limit`, of every SET in turn.

    `name` is `folder:PATH` with the layout of the Object Discovery data, PATH/SET/IMAGE with
    PATH/SET/GroundTruth/IMAGE.png (or directly in PATH), white on the object; or `tfds:oxford_iiit_pet`,
    whose borders are left to the background.
    """
    if name.startswith("folder:"):
        images, masks = _folder(Path(name.removeprefix("folder:")).expanduser(), to, limit)
    elif name.removeprefix("tfds:") == PETS:
        images, masks = _pets(to, limit, data_dir)
    else:
        raise UserError(f"masks {name!r} is not known; allowed: folder:PATH, tfds:{PETS}")
    return Split(np.stack(images), np.zeros(len(images), "int32"), np.stack(masks))


def _folder(path: Path, to: PictureFormat, limit: int | None) -> tuple[list, list]:
    if not path.is_dir():
        raise UserError(f"{path} is not a folder; masks must be folder:PATH with images and {GROUND_TRUTH}")
    pairs = []
    for truth in sorted(path.rglob(GROUND_TRUTH)):
        masks = mask_files(truth.parent)
        files = sorted(f for f in truth.parent.iterdir() if f.suffix.lower() in EXTENSIONS)
        masked = [file for file in files if file.stem in masks]
        pairs += [(number, file, masks[file.stem]) for number, file in enumerate(masked)]
    if not pairs:
        raise UserError(
            f"{path} has no image with a mask; expected {path}/SET/IMAGE.jpg and "
            f"{path}/SET/{GROUND_TRUTH}/IMAGE.png"
        )
    pairs = sorted(pairs)[:limit]

    def read(reader, file: Path) -> np.ndarray:
        try:
            return reader(file, to)
        except UnreadableImage as reason:
            raise UserError(f"{file} cannot be read: {reason}; repair or remove it") from None

    return [read(read_image, file) for _, file, _ in pairs], [read(read_mask, mask) for *_, mask in pairs]


def _pets(to: PictureFormat, limit: int | None, data_dir: str | None) -> tuple[list, list]:
    import tensorflow as tf

    from attention_keras.data.resize_in_graph import to_size
    from attention_keras.data.tfds import open_builder, prepare, whole_image

    builder = open_builder(PETS, data_dir)
    prepare(builder)

    def row(example):
        mask = tf.where(example["segmentation_mask"] == 1, 255.0, 0.0)
        mask = to_size(mask, to.size, to.resize)[..., 0] > 127
        return whole_image(example["image"], to.size, to.resize), mask

    examples = builder.as_dataset("test", shuffle_files=False).map(row).take(limit or -1)
    images, masks = zip(*examples.as_numpy_iterator())
    return list(images), list(masks)
