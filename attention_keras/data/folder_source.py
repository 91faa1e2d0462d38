"""A folder as a source: `PATH/CLASS/IMAGE`, or with `train`, `validation`, `test` in between.

Masks may lie beside the images, as `CLASS/GroundTruth/IMAGE.png`; an image without one has an empty mask.
"""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from attention_keras.data.array_store import ArrayStore
from attention_keras.data.image_files import (
    EXTENSIONS,
    UnreadableImage,
    mask_files,
    read_image,
    read_mask,
)
from attention_keras.data.source import Role
from attention_keras.data.split import Split
from attention_keras.errors import UserError

DEFAULT_SIZE = 32
_READ_AT_ONCE = 256
_ROLE_FOLDERS: dict[str, Role] = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
}

logger = logging.getLogger(__name__)


class FolderSource:
    """Images in class folders.

    Args:
        path: the folder.
        image_size: side of the square images; 32 by default.
        skip_broken: leave out images that cannot be read, and say which, instead of refusing.
        store: where the arrays go.

    Raises:
        UserError: no such folder, another layout, fewer than two classes, or a class without images.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        image_size: int | None = None,
        skip_broken: bool = False,
        store: ArrayStore | None = None,
    ):
        self._path, self._store = Path(path).expanduser(), store or ArrayStore()
        self._size = (image_size or DEFAULT_SIZE,) * 2
        self._skip_broken = skip_broken
        if not str(path) or not self._path.is_dir():
            raise UserError(f"folder:{path} is not a folder; give one with a folder of images per class")
        self._roots = _role_roots(self._path)
        self.roles = frozenset(self._roots)
        self.class_names = tuple(folder.name for folder in _folders(self._roots["train"]))
        self._files = {role: self._list(role, root) for role, root in self._roots.items()}

    def _list(self, role: Role, root: Path) -> list[tuple[Path, Path | None, int]]:
        """Images with their masks and labels, going round the classes, so that any prefix is a fair mix."""
        listed = []
        for folder in _folders(root):
            if folder.name not in self.class_names:
                raise UserError(f"class {folder.name!r} is in {root} but not in {self._roots['train']}")
            files = sorted(file for file in folder.iterdir() if file.suffix.lower() in EXTENSIONS)
            if not files and role == "train":
                raise UserError(f"class folder {folder} has no images; add some or remove the folder")
            if not files:
                logger.warning("class folder %s has no images", folder)
            label = self.class_names.index(folder.name)
            masks = mask_files(folder)
            listed += [(place, label, file, masks.get(file.stem)) for place, file in enumerate(files)]
        if not listed:
            raise UserError(f"{root} has no images; expected {root}/CLASS/IMAGE with {_extensions()}")
        if len(self.class_names) < 2:
            raise UserError(f"{root} has one class only, {self.class_names[0]!r}; a classifier needs two")
        return [(file, mask, label) for _, label, file, mask in sorted(listed, key=lambda entry: entry[:2])]

    def read(self, role: Role, limit: int | None) -> Split:
        """The first `limit` images."""
        files = self._files[role][:limit]
        columns = {"images": ((len(files), *self._size, 3), "uint8"), "labels": ((len(files),), "int32")}
        states = [_state(file) for file, _, _ in files]
        masks = [_state(mask) for _, mask, _ in files if mask]
        if masks:
            columns["masks"] = ((len(files), *self._size), "bool")
            states += masks
        key = f"folder {states} {columns} {self._skip_broken}"
        return Split(**self._store.build(key, columns, lambda arrays: self._fill(arrays, files)))

    def _fill(self, arrays: dict[str, np.ndarray], files: list[tuple[Path, int]]) -> int:
        count, broken = 0, []
        for file, label, pixels in _read_all(files, self._size):
            if isinstance(pixels, UnreadableImage):
                broken.append(f"{file.relative_to(self._path)} ({pixels})")
                continue
            arrays["images"][count], mask = pixels
            arrays["labels"][count] = label
            if "masks" in arrays:
                arrays["masks"][count] = False if mask is None else mask
            count += 1
        if broken:
            shown = ", ".join(broken[:5]) + (f" and {len(broken) - 5} more" if len(broken) > 5 else "")
            problem = f"{len(broken)} of {len(files)} images in {self._path} cannot be read: {shown}"
            if not self._skip_broken:
                raise UserError(f"{problem}; repair or remove them, or leave them out with skip_broken")
            logger.warning("left out: %s", problem)
        return count


def _role_roots(path: Path) -> dict[Role, Path]:
    """Folder of each role; without a train folder, the classes are right here."""
    named = {folder.name: folder for folder in _folders(path)}
    if "train" not in named:
        if not named:
            raise UserError(f"{path} has no class folders; expected {path}/CLASS/IMAGE with {_extensions()}")
        return {"train": path}
    strangers = sorted(set(named) - set(_ROLE_FOLDERS))
    if strangers:
        raise UserError(
            f"{path} has a train folder, so {strangers[0]!r} beside it must be one of "
            f"{', '.join(_ROLE_FOLDERS)}"
        )
    roots = {_ROLE_FOLDERS[name]: folder for name, folder in named.items()}
    if len(roots) < len(named):
        raise UserError(f"{path} has several validation folders: {', '.join(sorted(named))}; keep one")
    return roots


def _folders(path: Path) -> list[Path]:
    return sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _extensions() -> str:
    return " ".join(sorted(EXTENSIONS))


def _state(file: Path) -> tuple[str, int, int]:
    """What changes when a file's content does."""
    return str(file.absolute()), file.stat().st_size, file.stat().st_mtime_ns


def _read_all(files, size) -> Iterator[tuple[Path, int, tuple | UnreadableImage]]:
    """Images and masks, read in several threads, a block at a time so that memory stays bounded, in order."""

    def attempt(image: Path, mask: Path | None):
        try:
            pixels = read_image(image, size)
        except UnreadableImage as reason:
            return reason
        try:
            return pixels, mask and read_mask(mask, size)
        except UnreadableImage as reason:
            return UnreadableImage(f"its mask {mask.parent.name}/{mask.name}: {reason}")

    with ThreadPoolExecutor() as threads:
        for start in range(0, len(files), _READ_AT_ONCE):
            block = files[start : start + _READ_AT_ONCE]
            found = threads.map(attempt, [file for file, _, _ in block], [mask for _, mask, _ in block])
            for (file, _, label), pixels in zip(block, found):
                yield file, label, pixels
