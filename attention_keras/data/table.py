"""Image files as a table, one row a file: where it lies, what it shows, which side of the split it is on."""

import dataclasses
import hashlib
import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from attention_keras.data.array_store import ArrayStore, Columns
from attention_keras.data.bands import check_bands
from attention_keras.data.file_records import FileRecord
from attention_keras.data.geometry import PictureFormat, fit_box
from attention_keras.data.images import UnreadableImage, check_image, read_image, read_mask, upright_size
from attention_keras.data.labels import class_counts, in_words, strata
from attention_keras.data.membership import content_digests, text_digest
from attention_keras.data.rows import ImageRows, file_state
from attention_keras.data.split import Split
from attention_keras.errors import UserError
from attention_keras.progress import Bar

STREAM = "ATTENTION_KERAS_STREAM"
"""Environment variable for tests: 1 decodes images whenever they are needed, however few they are."""
_READ_AT_ONCE = 256
_HASHED_ANEW = 1 << 30  # bytes of files: a second

logger = logging.getLogger(__name__)


NO_BOX = (0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, eq=False)
class ImageTable:
    """Rows as columns `(n,)`, going round the classes, so that any prefix of a role is a fair mix.

    Where all `roles` are `train`, the others are still to be cut from them.
    """

    root: Path
    class_names: tuple[str, ...]
    paths: np.ndarray
    labels: np.ndarray
    roles: np.ndarray
    masks: np.ndarray
    groups: np.ndarray
    boxes: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(
        cls, root: Path, class_names, paths, labels, roles, masks=None, groups=None, boxes=None, weights=None
    ) -> "ImageTable":
        """A table of columns in any order.

        Paths and masks are relative to `root`, boxes are left, top, right, bottom in pixels of the upright
        image. No mask is None, no group an empty text, and a box without area none.
        """
        count, labels = len(paths), np.asarray(labels)
        columns = (
            np.array(paths, object),
            labels,
            np.array(roles, object),
            np.full(count, None, object) if masks is None else np.array(masks, object),
            np.full(count, "", object) if groups is None else np.array(groups, object),
            np.zeros((count, 4), "float32") if boxes is None else np.array(boxes, "float32"),
            np.ones(count, "float32") if weights is None else np.array(weights, "float32"),
        )
        order = np.argsort(_turns(strata(labels), columns[2]), kind="stable")
        return cls(root, tuple(class_names), *(column[order] for column in columns))

    def __len__(self) -> int:
        return len(self.paths)

    @cached_property
    def digests(self) -> np.ndarray:
        """`(n,)` uint64, of the content of each file; of many bytes they are kept, for the next start."""
        files = [(self.root / path).absolute() for path in self.paths]
        states = [file_state(file) for file in files]
        if sum(size for size, _ in states) <= _HASHED_ANEW:
            return content_digests(files)

        def fill(arrays: dict[str, np.ndarray]) -> int:
            arrays["digests"][:] = content_digests(files)
            return len(files)

        key = hashlib.sha256(ascii([*zip(map(str, files), states)]).encode()).hexdigest()
        columns = {"digests": ((len(files),), "uint64")}
        return ArrayStore(memory_limit=0).build(f"digests {key}", columns, fill)["digests"]

    @cached_property
    def units(self) -> np.ndarray:
        """`(n,)` uint64, the same for images that stay together: those of a group, or of the same content."""
        number = {group: text_digest(group) for group in {*self.groups}}
        return np.where(self.groups == "", self.digests, np.array([number[g] for g in self.groups], "uint64"))

    def files(self, roles: np.ndarray) -> dict[str, FileRecord]:
        """Path of each file -> what a run keeps of it."""
        digests = (f"{digest:016x}" for digest in self.digests.tolist())
        labels = in_words(self.labels, self.class_names)
        return {path: FileRecord(*record) for path, *record in zip(self.paths, digests, labels, roles)}


def _turns(labels: np.ndarray, roles: np.ndarray) -> np.ndarray:
    """For each row its number among those of its class and role, then its class: the turns of a round."""
    kinds = labels.max(initial=0) + 1
    of = sum((roles == role) * number for number, role in enumerate(sorted({*roles}))) * kinds + labels
    order = np.argsort(of, kind="stable")
    _, first, size = np.unique(of[order], return_index=True, return_counts=True)
    turns = np.empty(len(of), "int64")
    turns[order] = np.arange(len(of)) - np.repeat(first, size)
    return turns * kinds + labels


def read_images(
    table: ImageTable,
    rows: np.ndarray,
    to: PictureFormat | None,
    store: ArrayStore,
    skip_broken: bool = False,
) -> tuple[Split, np.ndarray]:
    """The images at `rows`, and the numbers of those among them that could be read.

    Without a format `to` they stay as large as they are, and come without masks and boxes.

    They are decoded into arrays, or, where these would be larger than `store` keeps in memory, only checked
    now and decoded whenever they are needed. One that cannot be read is an error, or left out and named.
    """
    files, masks = ([table.root / path for path in table.paths[rows]], table.masks[rows])
    count = len(files)
    checked: Columns = {"good": ((count,), "int64")}
    columns = checked
    if to is not None:
        if any(masks):
            checked["masks"] = ((count, *to.size), "bool")
        if table.boxes[rows].any():
            checked["boxes"] = ((count, 4), "float32")
        columns = checked | {"images": ((count, *to.size, to.channels), "uint8")}
    if to is None or os.environ.get(STREAM) in ("1", "on") or not store.fits(columns):
        # A few bytes an image go to disk, so that a folder is checked once: that decodes all of it.
        columns, store = checked, dataclasses.replace(store, memory_limit=0)
    states = [file_state(file) for file in files]
    mask_states = [mask and file_state(table.root / mask) for mask in masks]
    names = [ascii(str(file.absolute())) for file in files]
    content = list(zip(names, states, masks, mask_states, table.boxes[rows].tolist()))
    key = f"image files {content} {columns} {to and (to.resize, to.values, to.channels)} {skip_broken}"
    found = store.build(key, columns, lambda arrays: _fill(arrays, table, rows, to, skip_broken))
    good = found.pop("good")
    images = ImageRows(np.array(files, object), np.array(states, "int64").reshape(count, 2), to).take(good)
    labels, digests = table.labels[rows][good], table.digests[rows][good]
    masks, boxes = found.get("masks"), found.get("boxes")
    boxes = None if boxes is None else np.asarray(boxes)
    units, groups, weights = (c[rows][good] for c in (table.units, table.groups, table.weights))
    groups, weights = groups if any(groups) else None, None if (weights == 1).all() else weights
    pixels = found.get("images", images)
    return Split(pixels, labels, masks, boxes, digests, images, units, groups, weights), good


def _fill(
    arrays: dict[str, np.ndarray],
    table: ImageTable,
    rows: np.ndarray,
    to: PictureFormat | None,
    skip_broken: bool,
) -> int:
    count, broken = 0, []
    found_in_order = _read_all(arrays, table, rows, to)
    show = {"desc": "reading images", "unit": " images", "total": len(rows)}
    for number, found in enumerate(Bar(found_in_order, **show)):
        if isinstance(found, UnreadableImage):
            broken.append(f"{table.paths[rows[number]]} ({found})")
            continue
        image, mask, box = found
        if "images" in arrays:
            arrays["images"][count] = image
        if "masks" in arrays:
            arrays["masks"][count] = False if mask is None else mask
        if "boxes" in arrays:
            arrays["boxes"][count] = box
        arrays["good"][count] = number
        count += 1
    if broken:
        shown = ", ".join(broken[:5]) + (f" and {len(broken) - 5} more" if len(broken) > 5 else "")
        problem = f"{len(broken)} of {len(rows)} images in {table.root} cannot be read: {shown}"
        if not skip_broken:
            raise UserError(f"{problem}; repair or remove them, or leave them out with skip_broken")
        logger.warning("left out: %s", problem)
        trained, good = table.roles[rows] == "train", arrays["good"][:count]
        before, after = (
            class_counts(table.labels[rows[of]][trained[of]], len(table.class_names))
            for of in (np.arange(len(rows)), good)
        )
        if (lost := (before > 0) & (after == 0)).any():
            name = table.class_names[int(lost.argmax())]
            raise UserError(f"no image of the class {name!r} can be read; repair some or remove it")
    return count


def _read_all(
    arrays: dict[str, np.ndarray], table: ImageTable, rows: np.ndarray, to: PictureFormat | None
) -> Iterator[tuple | UnreadableImage]:
    """Images, where they are kept, and masks, in order.

    By several threads, a block at a time so that memory stays bounded. Images that are not kept are
    decoded once all the same: one that is broken is told before the training and not in its midst.
    """

    def attempt(row: int):
        file, mask = table.root / table.paths[row], table.masks[row]
        if to is None:
            try:
                check_bands(file)
            except UnreadableImage as reason:
                return reason
            return None, None, NO_BOX
        try:
            image = read_image(file, to) if "images" in arrays else check_image(file, to)
        except UnreadableImage as reason:
            return reason
        try:
            box = table.boxes[row]
            placed = fit_box(box, upright_size(file), to) if box.any() else NO_BOX
            return image, mask and read_mask(table.root / mask, to), placed
        except UnreadableImage as reason:
            return UnreadableImage(f"its mask {mask}: {reason}")

    with ThreadPoolExecutor() as threads:
        for start in range(0, len(rows), _READ_AT_ONCE):
            yield from threads.map(attempt, rows[start : start + _READ_AT_ONCE])
