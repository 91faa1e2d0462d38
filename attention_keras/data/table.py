"""Image files as a table, one row a file: where it lies, what it shows, which side of the split it is on.

Which images are held out is decided by the content of each file, or by the name of its group. So an image
stays where it is when others are added or removed, when it is renamed or its class is, and when the folder
moves; and two copies of one image, or all images of a group, are always on the same side. Each class is held
out in its share. Of a class so small that its share would be nobody, or leave nobody, one image at least is
held out and one left; only such a class may see an image change sides when others are added.
"""

import dataclasses
import hashlib
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from attention_keras.data.array_store import ArrayStore, Columns
from attention_keras.data.image_files import UnreadableImage, upright_size
from attention_keras.data.images import PictureFormat, check_image, fit_box, read_image, read_mask
from attention_keras.data.registry import FileRecord
from attention_keras.data.rows import ImageRows, file_state
from attention_keras.data.split import ROLES, Split, class_counts, labels_in_words, members, strata
from attention_keras.errors import UserError, needs
from attention_keras.progress import Bar

with needs("a table of images", extra="train"):
    import pandas

STREAM = "ATTENTION_KERAS_STREAM"  # for tests: 1 decodes images when they are needed, however few they are
BOX = ("left", "top", "right", "bottom")
TEST_FRACTION = 0.2
_READ_AT_ONCE = 256
_HASHED_ANEW = 1 << 30  # bytes of files: a second

logger = logging.getLogger(__name__)


class ImageTable:
    """Rows as columns `(n,)`, going round the classes, so that any prefix of a role is a fair mix.

    Paths and masks are relative to `root`, boxes `(n, 4)` are left, top, right, bottom in pixels of the
    upright image. No mask and no group are an empty text, and a box without area none. Where all `roles`
    are `train`, the others are still to be cut from them.
    """

    def __init__(
        self, root: Path, class_names: Iterable[str], labels: np.ndarray, columns: Mapping[str, Any]
    ):
        """`columns` are called as those of a table's file; all of them have a value in every row."""
        frame, classes = pandas.DataFrame(columns, dtype=object), strata(labels)
        turns = frame.groupby([classes, "split"]).cumcount()
        order = np.lexsort((classes, turns))
        frame = frame.iloc[order]
        texts = (frame[name].to_numpy(object) for name in ("path", "split", "mask", "group"))
        self.paths, self.roles, self.masks, self.groups = texts
        self.root, self.class_names, self.labels = root, tuple(class_names), labels[order]
        self.weights, self.boxes = frame["weight"].to_numpy("float32"), frame[[*BOX]].to_numpy("float32")

    def __len__(self) -> int:
        return len(self.paths)

    @cached_property
    def digests(self) -> np.ndarray:
        """`(n,)` uint64, of the content of each file; of many bytes they are kept, for the next start."""
        files = [(self.root / path).absolute() for path in self.paths]
        states = [file_state(file) for file in files]
        is_quick = sum(size for size, _ in states) <= _HASHED_ANEW
        store = ArrayStore() if is_quick else ArrayStore(memory_limit=0)
        key = f"digests {[*zip(map(str, files), states)]!a}"
        columns: Columns = {"digests": ((len(files),), "uint64")}
        found = store.build(key, columns, lambda arrays: np.copyto(arrays["digests"], content_digests(files)))
        return found["digests"]

    @cached_property
    def units(self) -> np.ndarray:
        """`(n,)` uint64, the same for images that stay together: those of a group, or of the same content."""
        number = {group: _hashed(group.encode("utf-8", "surrogateescape")) for group in {*self.groups}}
        return np.where(self.groups == "", self.digests, np.array([number[g] for g in self.groups], "uint64"))

    def files(self, roles: np.ndarray) -> dict[str, FileRecord]:
        """Path of each file -> what a run keeps of it."""
        digests = (f"{digest:016x}" for digest in self.digests.tolist())
        labels = labels_in_words(self.labels, self.class_names)
        return {path: FileRecord(*record) for path, *record in zip(self.paths, digests, labels, roles)}


def content_digests(files: Iterable[Path]) -> np.ndarray:
    """64 bits `(n,)` that stand for the content of each file; 0 for one that cannot be read."""

    def digest(file: Path) -> int:
        try:
            with open(file, "rb") as stream:
                found = hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=8))
        except (OSError, ValueError):  # ValueError of a path with a zero byte
            return 0
        return int.from_bytes(found.digest(), "big")

    with ThreadPoolExecutor() as threads:
        return np.fromiter(threads.map(digest, files), "uint64")


def _hashed(content: bytes, key: bytes = b"") -> int:
    """64 bits that stand for the content; those of different keys are independent of each other."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8, key=key).digest(), "big")


def choose_roles(
    given: np.ndarray, units: np.ndarray, labels: np.ndarray, validation_fraction: float, seed: int
) -> np.ndarray:
    """The role of each image, `train`, `validation` or `test`.

    Roles that nobody has in `given` `(n,)` are cut from train: a fifth for `test`, the same one for every
    seed, and `validation_fraction` of what is left. Images of the same unit `(n,)` uint64 stay together.
    """
    roles = np.array(given, object)
    cuts = [("test", TEST_FRACTION, "test"), ("validation", validation_fraction, f"validation {seed}")]
    missing = [cut for cut in cuts if cut[0] not in given]
    for number, (role, fraction, purpose) in enumerate(missing):
        rows = np.flatnonzero(roles == "train")
        held = _held_out(units[rows], labels[rows], fraction, purpose, spared=len(missing) - number)
        roles[rows[held]] = role
    return roles


def _held_out(
    units: np.ndarray, labels: np.ndarray, fraction: float, purpose: str, spared: int
) -> np.ndarray:
    """Images `(n,)` bool whose unit draws a number below the share; so many units of a class are spared."""
    distinct, unit_of = np.unique(units, return_inverse=True)
    hashed = [_hashed(unit.to_bytes(8, "big"), key=purpose.encode()[:64]) for unit in distinct.tolist()]
    draws = np.array([number / 2**64 for number in hashed])[unit_of]
    chosen = [np.empty(0)]
    for of_class in members(labels):
        drawn = np.unique(draws[of_class])
        wanted = max(1, int(np.searchsorted(drawn, fraction)))
        chosen.append(drawn[: max(0, min(wanted, len(drawn) - spared))])
    return np.isin(draws, np.concatenate(chosen))


def lacking(table: ImageTable, rows: np.ndarray) -> list[str]:
    """Classes without an image among those at `rows`."""
    counts = class_counts(table.labels[rows], len(table.class_names))
    return [table.class_names[label] for label in np.flatnonzero(counts == 0)]


def check_roles(name: str, table: ImageTable, roles: np.ndarray) -> None:
    """Refuse a class without a training image, and a group in several roles, which would be tested on what is
    known. Tell of classes that a held-out role lacks, and of files of one content with different labels.
    """
    lost = {role: ", ".join(lacking(table, roles == role)) for role in ROLES}
    if lost["train"]:
        raise UserError(f"{name}: no image of {lost['train']} is left to train on; add some")
    for role in filter(lost.get, ROLES):
        said = "%s: no image of %s is in %s; three images a class are the least"
        logger.warning(said, name, lost[role], role)
    labels = labels_in_words(table.labels, table.class_names)
    columns = {"group": table.groups, "role": roles, "path": table.paths, "digest": table.digests}
    frame = pandas.DataFrame(columns | {"label": labels})
    grouped = frame[frame["group"] != ""].drop_duplicates(["group", "role"])
    for group, of_group in grouped[grouped.duplicated("group", keep=False)].groupby("group"):
        several = " and in ".join(of_group["role"])
        raise UserError(f"{name}: group {group!r} is in {several}; give it one split")
    labelled = frame[frame["digest"] > 0].drop_duplicates(["digest", "label"])
    twice = labelled[labelled.duplicated("digest", keep=False)].sort_values(["digest", "label"])
    if len(twice):
        said = "%s: %d files have the content of another and a different label, such as %s and %s; keep one"
        count = len(twice) - twice["digest"].nunique()
        logger.warning(said, name, count, *twice["path"][:2])


def read_images(
    table: ImageTable,
    rows: np.ndarray,
    to: PictureFormat | None,
    store: ArrayStore,
    skip_broken: bool = False,
) -> tuple[Split, np.ndarray]:
    """The images at `rows`, and the rows of those that could be read.

    Without a format `to` they stay as large as they are, and come without masks and boxes. Where decoded
    images would be larger than `store` keeps in memory, they are only checked now and decoded when needed.
    """
    files, count = [table.root / path for path in table.paths[rows]], len(rows)
    masks, boxes = table.masks[rows], table.boxes[rows]
    columns: Columns = {"good": ((count,), "bool")}
    if to and masks.any():
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
    images = ImageRows(np.array(files, object), np.array(states, "int64").reshape(count, 2), to)
    groups, weights = table.groups[rows], table.weights[rows]
    split = Split(
        found.get("images", images),
        table.labels[rows],
        masks=found.get("masks"),
        boxes=np.asarray(found["boxes"]) if "boxes" in found else None,
        digests=table.digests[rows],
        files=images,
        units=table.units[rows],
        groups=groups if any(groups) else None,
        weights=None if (weights == 1).all() else weights,
    )
    good = found["good"]
    return (split, rows) if good.all() else (split.take(good), rows[good])


def _fill(
    arrays: dict[str, np.ndarray], table: ImageTable, rows: np.ndarray, to: PictureFormat | None, skip: bool
) -> None:
    """Write what the images at `rows` are to `arrays`; UserError names broken ones, or they are skipped.

    Images that are not kept are decoded all the same: one that is broken is told before the training.
    """

    def read(number: int) -> str:
        """Write one row; what is wrong with it, if anything."""
        path, mask, box = (column[rows[number]] for column in (table.paths, table.masks, table.boxes))
        file, whose = table.root / path, ""
        try:
            if "images" in arrays:
                arrays["images"][number] = read_image(file, to)
            else:
                check_image(file, to)
            if "boxes" in arrays:
                arrays["boxes"][number] = fit_box(box, upright_size(file), to) if box.any() else 0
            whose = f"its mask {mask}: "
            if "masks" in arrays:
                arrays["masks"][number] = read_mask(table.root / mask, to) if mask else False
        except UnreadableImage as reason:
            return f"{path} ({whose}{reason})"
        return ""

    def in_order() -> Iterator[str]:
        with ThreadPoolExecutor() as threads:
            for start in range(0, len(rows), _READ_AT_ONCE):  # which bounds what waits
                yield from threads.map(read, range(len(rows))[start : start + _READ_AT_ONCE])

    told = [*Bar(in_order(), desc="reading images", unit=" images", total=len(rows))]
    arrays["good"][:] = [not problem for problem in told]
    if broken := [problem for problem in told if problem]:
        shown = ", ".join(broken[:5]) + (f" and {len(broken) - 5} more" if len(broken) > 5 else "")
        problem = f"{len(broken)} of {len(rows)} images in {table.root} cannot be read: {shown}"
        if not skip:
            raise UserError(f"{problem}; repair or remove them, or leave them out with skip_broken")
        logger.warning("left out: %s", problem)
