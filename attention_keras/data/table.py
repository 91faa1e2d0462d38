"""Image files as a table, one row a file: where it lies, what it shows, which side of the split it is on."""

import dataclasses
import hashlib
import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from attention_keras.data.array_store import ArrayStore, Columns
from attention_keras.data.image_files import UnreadableImage, upright_size
from attention_keras.data.images import PictureFormat, check_image, fit_box, read_image, read_mask
from attention_keras.data.labels import class_counts, in_words, strata
from attention_keras.data.membership import FileRecord, content_digests, text_digest
from attention_keras.data.rows import ImageRows, file_state
from attention_keras.data.split import Split
from attention_keras.errors import UserError, needs
from attention_keras.progress import Bar

STREAM = "ATTENTION_KERAS_STREAM"
"""Environment variable for tests: 1 decodes images whenever they are needed, however few they are."""
_READ_AT_ONCE = 256
_HASHED_ANEW = 1 << 30  # bytes of files: a second

logger = logging.getLogger(__name__)


class ImageTable:
    """Rows as columns `(n,)`, going round the classes, so that any prefix of a role is a fair mix.

    Paths and masks are relative to `root`, boxes `(n, 4)` are left, top, right, bottom in pixels of the
    upright image. No mask is None, no group an empty text, and a box without area none. Where all `roles`
    are `train`, the others are still to be cut from them.
    """

    def __init__(
        self, root: Path, class_names, paths, labels, roles, masks=None, groups=None, boxes=None, weights=None
    ):
        with needs("a table", extra="train"):
            import pandas
        count, labels, roles = len(paths), np.asarray(labels), np.array(roles, object)
        classes = strata(labels)
        turns = pandas.Series(classes).groupby([classes, roles]).cumcount().to_numpy()
        order = np.argsort(turns * (classes.max(initial=0) + 1) + classes, kind="stable")

        def column(values, empty: Any, dtype: Any = object) -> np.ndarray:
            return np.full(count, empty, dtype) if values is None else np.array(values, dtype)[order]

        self.root, self.class_names = root, tuple(class_names)
        self.paths, self.labels, self.roles = column(paths, ""), labels[order], roles[order]
        self.masks, self.groups = column(masks, None), column(groups, "")
        self.weights = column(weights, 1, "float32")
        self.boxes = np.zeros((count, 4), "float32") if boxes is None else column(boxes, None, "float32")

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


def read_images(
    table: ImageTable,
    rows: np.ndarray,
    to: PictureFormat | None,
    store: ArrayStore,
    skip_broken: bool = False,
) -> tuple[Split, np.ndarray]:
    """The images at `rows`, and the numbers of those among them that could be read.

    Without a format `to` they stay as large as they are, and come without masks and boxes.

    Where decoded images would be larger than `store` keeps in memory, they are only checked now and decoded
    whenever they are needed.
    """
    files, count = [table.root / path for path in table.paths[rows]], len(rows)
    masks, boxes = table.masks[rows], table.boxes[rows]
    columns: Columns = {"good": ((count,), "int64")}
    if to and any(masks):
        columns["masks"] = ((count, *to.size), "bool")
    if to and boxes.any():
        columns["boxes"] = ((count, 4), "float32")
    kept = columns | ({"images": ((count, *to.size, to.channels), "uint8")} if to else {})
    if to is None or os.environ.get(STREAM) in ("1", "on") or not store.fits(kept):
        # A few bytes an image go to disk, so that a folder is checked once: that decodes all of it.
        kept, store = columns, dataclasses.replace(store, memory_limit=0)
    states = [file_state(file) for file in files]
    mask_states = [mask and file_state(table.root / mask) for mask in masks]
    names = [ascii(str(file.absolute())) for file in files]
    content = list(zip(names, states, masks, mask_states, boxes.tolist()))
    key = f"image files {content} {kept} {to and (to.resize, to.values, to.channels)} {skip_broken}"
    found = store.build(key, kept, lambda arrays: _fill(arrays, table, rows, to, skip_broken))
    good = found["good"]
    images = ImageRows(np.array(files, object), np.array(states, "int64").reshape(count, 2), to).take(good)
    chosen = rows[good]
    groups, weights = table.groups[chosen], table.weights[chosen]
    split = Split(
        found.get("images", images),
        table.labels[chosen],
        masks=found.get("masks"),
        boxes=np.asarray(found["boxes"]) if "boxes" in found else None,
        digests=table.digests[chosen],
        files=images,
        units=table.units[chosen],
        groups=groups if any(groups) else None,
        weights=None if (weights == 1).all() else weights,
    )
    return split, good


def _fill(arrays, table: ImageTable, rows: np.ndarray, to: PictureFormat | None, skip_broken: bool) -> int:
    """Write what the images at `rows` are to `arrays`, without those that are broken; how many are left."""
    count, broken = 0, []
    results = _read_all(table, rows, to, whole="images" in arrays)
    for number, found in enumerate(Bar(results, desc="reading images", unit=" images", total=len(rows))):
        if isinstance(found, UnreadableImage):
            broken.append(f"{table.paths[rows[number]]} ({found})")
            continue
        found["good"] = number
        for name, array in arrays.items():
            array[count] = found.get(name, 0)
        count += 1
    if not broken:
        return count
    shown = ", ".join(broken[:5]) + (f" and {len(broken) - 5} more" if len(broken) > 5 else "")
    problem = f"{len(broken)} of {len(rows)} images in {table.root} cannot be read: {shown}"
    if not skip_broken:
        raise UserError(f"{problem}; repair or remove them, or leave them out with skip_broken")
    logger.warning("left out: %s", problem)
    good = rows[arrays["good"][:count]]
    before, after = (
        class_counts(table.labels[of][table.roles[of] == "train"], len(table.class_names))
        for of in (rows, good)
    )
    if (lost := (before > 0) & (after == 0)).any():
        name = table.class_names[int(lost.argmax())]
        raise UserError(f"no image of the class {name!r} can be read; repair some or remove it")
    return count


def _read_all(
    table: ImageTable, rows: np.ndarray, to: PictureFormat | None, whole: bool
) -> Iterator[dict[str, Any] | UnreadableImage]:
    """Of each row, in order, its image where the `whole` of it is kept, its mask and its box.

    Images that are not kept are decoded all the same: one that is broken is told before the training. Blocks
    keep memory bounded.
    """

    def attempt(row: int) -> dict[str, Any] | UnreadableImage:
        file, mask, box = table.root / table.paths[row], table.masks[row], table.boxes[row]
        found, reading = {}, ""
        try:
            if to is None:
                check_image(file, to)
                return found
            if whole:
                found["images"] = read_image(file, to)
            else:
                check_image(file, to)
            if box.any():
                found["boxes"] = fit_box(box, upright_size(file), to)
            if mask:
                reading = f"its mask {mask}: "
                found["masks"] = read_mask(table.root / mask, to)
        except UnreadableImage as reason:
            return UnreadableImage(f"{reading}{reason}")
        return found

    with ThreadPoolExecutor() as threads:
        for start in range(0, len(rows), _READ_AT_ONCE):
            yield from threads.map(attempt, rows[start : start + _READ_AT_ONCE])
