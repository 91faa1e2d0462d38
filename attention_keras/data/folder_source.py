"""A folder of pictures as a source of arrays, or, above a size, of pictures that stay in their files."""

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
from tqdm import tqdm

from attention_keras.data.array_store import ArrayStore
from attention_keras.data.class_folders import Picture, list_class_folders
from attention_keras.data.geometry import PictureFormat
from attention_keras.data.image_files import UnreadableImage, check_image, read_image, read_mask
from attention_keras.data.membership import content_digest
from attention_keras.data.picture_files import in_words
from attention_keras.data.picture_rows import PictureRows, file_state
from attention_keras.data.source import Role
from attention_keras.data.split import Split
from attention_keras.errors import UserError

_READ_AT_ONCE = 256

logger = logging.getLogger(__name__)


class FolderSource:
    """Images in class folders (see `class_folders`).

    Args:
        path: the folder.
        to: what the pictures are brought to; larger ones than it says are such as cannot be read.
        skip_broken: leave out images that cannot be read, and say which, instead of refusing.
        store: where the arrays go.
        stream: whether pictures are decoded from their files whenever they are needed, instead of once into
            arrays; `auto` where the arrays of a split would go to disk.

    Raises:
        UserError: no such folder, or one that cannot be used.
    """

    def __init__(
        self,
        path: str | Path,
        to: PictureFormat,
        *,
        skip_broken: bool = False,
        store: ArrayStore | None = None,
        stream: Literal["auto", "on", "off"] = "auto",
    ):
        self._path, self._store = Path(path).expanduser(), store or ArrayStore()
        self._to, self._skip_broken, self._stream = to, skip_broken, stream
        if not str(path) or not self._path.is_dir():
            raise UserError(
                f"folder:{path} is not a folder; give one with a folder of images per class (where a "
                "run's pictures have moved, --dataset folder:NEW)"
            )
        found = list_class_folders(self._path)
        self.class_names, self._pictures = found.class_names, found.pictures
        self.roles: frozenset[Role] = frozenset(found.pictures)
        pictures = [picture.file for role in found.pictures.values() for picture in role]
        if found.passed_over:
            passed_over = in_words(found.passed_over)
            logger.warning("folder:%s: %d images; passed over: %s", path, len(pictures), passed_over)
        with ThreadPoolExecutor() as threads:
            self._digests = dict(zip(pictures, threads.map(_digest_or_zero, pictures)))
        self.files = {
            file.relative_to(self._path).as_posix(): f"{digest:016x}"
            for file, digest in self._digests.items()
        }

    def read(self, role: Role, limit: int | None) -> Split:
        """The first `limit` images."""
        pictures = self._pictures[role][:limit]
        count = len(pictures)
        columns = {
            "labels": ((count,), "int32"),
            "digests": ((count,), "uint64"),
            "rows": ((count,), "int64"),  # among `pictures`: broken ones may be left out
        }
        masks = [picture.mask for picture in pictures if picture.mask]
        if masks:
            columns["masks"] = ((count, *self._to.size), "bool")
        store, decoded = self._store, columns | {"images": ((count, *self._to.size, 3), "uint8")}
        if self._stream == "on" or (self._stream == "auto" and not store.fits(decoded)):
            # A few bytes a picture go to disk, so that a folder is checked once: that decodes all of it.
            store = dataclasses.replace(store, memory_limit=0)
        else:
            columns = decoded
        files = [picture.file for picture in pictures]
        states = [file_state(file) for file in files + masks]
        names = [(ascii(str(file.absolute())), *state) for file, state in zip(files + masks, states)]
        how = (self._to.resize, self._skip_broken, self._to.megapixels)
        key = f"folder, resized by rows first {names} {columns} {how}"
        fields = store.build(key, columns, lambda arrays: self._fill(arrays, pictures))
        found = np.array(files, object), np.array(states[:count], "int64").reshape(count, 2)
        good = PictureRows(*found, self._to).select(fields.pop("rows"))
        return Split(pictures=good, **({"images": good} | fields))

    def _fill(self, arrays: dict[str, np.ndarray], pictures: Sequence[Picture]) -> int:
        count, broken = 0, []
        read = tqdm(
            self._read_all(pictures, keep="images" in arrays),
            desc="reading pictures",
            total=len(pictures),
            unit=" pictures",
            leave=False,
            disable=None,
            delay=3,
        )
        for place, (picture, pixels) in enumerate(read):
            if isinstance(pixels, UnreadableImage):
                broken.append(f"{picture.file.relative_to(self._path)} ({pixels})")
                continue
            image, mask = pixels
            if "images" in arrays:
                arrays["images"][count] = image
            arrays["rows"][count] = place
            arrays["labels"][count] = picture.label
            arrays["digests"][count] = self._digests[picture.file]
            if "masks" in arrays:
                arrays["masks"][count] = False if mask is None else mask
            count += 1
        if broken:
            shown = ", ".join(broken[:5]) + (f" and {len(broken) - 5} more" if len(broken) > 5 else "")
            problem = f"{len(broken)} of {len(pictures)} images in {self._path} cannot be read: {shown}"
            if not self._skip_broken:
                raise UserError(f"{problem}; repair or remove them, or leave them out with --skip-broken")
            logger.warning("left out: %s", problem)
            lost = {picture.label for picture in pictures} - set(arrays["labels"][:count].tolist())
            if lost:
                name = self.class_names[min(lost)]
                raise UserError(f"no image of the class {name!r} can be read; repair some or remove it")
        return count

    def _read_all(
        self, pictures: Sequence[Picture], keep: bool
    ) -> Iterator[tuple[Picture, tuple | UnreadableImage]]:
        """Images, where they are kept, and masks, in order.

        By several threads, a block at a time so that memory stays bounded. Images that are not kept are
        decoded once all the same: one that is broken is told before the training and not in its midst.
        """

        def attempt(picture: Picture):
            try:
                if keep:
                    pixels = read_image(picture.file, self._to)
                else:
                    pixels = check_image(picture.file, self._to.megapixels)
            except UnreadableImage as reason:
                return reason
            try:
                return pixels, picture.mask and read_mask(picture.mask, self._to)
            except UnreadableImage as reason:
                mask = picture.mask
                return UnreadableImage(f"its mask {mask.parent.name}/{mask.name}: {reason}")

        with ThreadPoolExecutor() as threads:
            for start in range(0, len(pictures), _READ_AT_ONCE):
                block = pictures[start : start + _READ_AT_ONCE]
                yield from zip(block, threads.map(attempt, block))


def _digest_or_zero(file: Path) -> int:
    """0 for a file that cannot be read; whoever needs its pixels says so."""
    try:
        return content_digest(file)
    except OSError:
        return 0
