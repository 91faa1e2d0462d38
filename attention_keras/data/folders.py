"""A folder of images as a table: `PATH/CLASS/IMAGE`, or with `train`, `validation`, `test` in between.

Images may lie in folders below their class's. Masks may lie beside them, as `GroundTruth/IMAGE.png`.
"""

import logging
from collections import Counter
from itertools import chain
from pathlib import Path

import numpy as np

from attention_keras.data.files import NO_IMAGES, endings_in_words, folder_id, images_below, in_words
from attention_keras.data.image_files import EXTENSIONS
from attention_keras.data.registry import GroupBy
from attention_keras.data.split import Role
from attention_keras.data.table import ImageTable
from attention_keras.errors import UserError

GROUND_TRUTH = "GroundTruth"
"""Folder beside the images with their masks: files of the same names, whatever the ending."""
ROLE_NAMES: dict[str, Role] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""What a folder in between, or the split of a table, may be called, in any case."""

Row = tuple[str, str, Role, str | None, str]
"""Path, label, role, mask and group."""

logger = logging.getLogger(__name__)


def read_folder(path: str | Path, group_by: GroupBy = "none") -> ImageTable:
    """A table of everything in a folder, without opening an image; UserError tells of another layout."""
    root = Path(path).expanduser()
    if not str(path) or not root.is_dir():
        raise UserError(
            f"folder:{path} is not a folder; give one with a folder of images per class (where a "
            "run's images have moved, `dataset` folder:NEW)"
        )
    roots, passed_over = _role_roots(root), Counter[str]()
    classes = {role: _folders(folder) for role, folder in roots.items()}
    names = [folder.name for folder in classes["train"]]
    if unwritable := [name for name in names if not is_a_line(name)]:
        raise UserError(
            f"the name of the class folder {_shown(unwritable[0])} is not a line of UTF-8; rename it"
        )
    # A link from one class into another would give an image two labels.
    known = {folder_id(folder) for folder in (root, *roots.values(), *chain(*classes.values()))}
    rows: list[Row] = []
    for role, folder in roots.items():
        before = len(rows)
        for class_folder in classes[role]:
            if class_folder.name not in names:
                raise UserError(f"class {class_folder.name!r} is in {folder} but not in {roots['train']}")
            others = Counter[str]()
            files = sorted(images_below(class_folder, others, [GROUND_TRUTH], known, _refuse))
            passed_over += others
            if not files and role == "train":
                there = others.keys() - {"hidden"}
                what = f" that can be read; it has {in_words(others)}; {endings_in_words()}" if there else ""
                raise UserError(
                    f"class folder {class_folder} has no images{what}; add some or remove the folder"
                )
            if not files:
                passed_over[f"empty class folder {class_folder.name} in {folder.name}"] += 1
            groups = [_group(class_folder, file) if group_by == "parent" else "" for file in files]
            rows += _rows(root, files, class_folder.name, role, groups)
        loose = sum(entry.suffix.lower() in EXTENSIONS for entry in folder.iterdir() if entry.is_file())
        passed_over += Counter({"images outside the class folders": loose})
        if len(rows) == before:
            raise UserError(f"{folder} has no images; expected {_layout(folder)}")
    if len(names) < 2:
        raise UserError(f"{roots['train']} has one class only, {names[0]!r}; a classifier needs two")
    if passed_over:
        logger.warning("folder:%s: %d images; passed over: %s", path, len(rows), in_words(passed_over))
    return _table(root, rows)


def read_masked_folder(path: str | Path) -> ImageTable:
    """A table of the images below a folder that have a mask, each SET a class, as in Object Discovery."""
    root = Path(path).expanduser()
    if not root.is_dir():
        raise UserError(f"{root} is not a folder; masks must be folder:PATH with images and {GROUND_TRUTH}")
    rows: list[Row] = []
    for truth in sorted(root.rglob(GROUND_TRUTH)):
        folder = truth.parent
        files = sorted(file for file in folder.iterdir() if file.suffix.lower() in EXTENSIONS)
        found = _rows(root, files, folder.relative_to(root).as_posix(), "test", [""] * len(files))
        rows += [row for row in found if row[3]]
    if not rows:
        raise UserError(
            f"{root} has no image with a mask; expected {root}/SET/IMAGE.jpg and "
            f"{root}/SET/{GROUND_TRUTH}/IMAGE.png"
        )
    return _table(root, rows)


def _table(root: Path, rows: list[Row]) -> ImageTable:
    paths, labels, *others = zip(*rows)
    class_names, numbers = np.unique(np.array(labels, object), return_inverse=True)
    return ImageTable(root, class_names.tolist(), paths, numbers.astype("int32"), *others)


def _rows(root: Path, files: list[Path], label: str, role: Role, groups: list[str]) -> list[Row]:
    masks: dict[Path, dict[str, str]] = {}
    for folder in {file.parent for file in files}:
        truth = folder / GROUND_TRUTH
        found = sorted(truth.iterdir()) if truth.is_dir() else []
        masks[folder] = {
            mask.stem: mask.relative_to(root).as_posix()
            for mask in found
            if mask.suffix.lower() in EXTENSIONS
        }
    return [
        (file.relative_to(root).as_posix(), label, role, masks[file.parent].get(file.stem), group)
        for file, group in zip(files, groups)
    ]


def _group(class_folder: Path, file: Path) -> str:
    """The folder below that of the class: a patient may be in several classes."""
    group, *below = file.relative_to(class_folder).parts
    if not below:
        raise UserError(f"{_shown(file)} is in no group; group_by parent needs {class_folder}/GROUP/IMAGE")
    return group


def _role_roots(path: Path) -> dict[Role, Path]:
    """Folder of each role; where no train folder holds class folders, the classes are right here."""
    named = {folder.name: folder for folder in _folders(path)}
    roles = {name: ROLE_NAMES[name.casefold()] for name in named if name.casefold() in ROLE_NAMES}
    strangers = sorted(set(named) - set(roles))
    train = [named[name] for name, role in roles.items() if role == "train"]
    empty = path if not named else train[0] if train and not strangers else None
    if not any(map(_folders, train)):
        if empty:
            raise UserError(f"{empty} has no class folders; expected {_layout(empty)}")
        return {"train": path}  # and a folder called train is a class
    if strangers:
        raise UserError(
            f"{path} has a train folder with folders in it, so {strangers[0]!r} beside it must be one of "
            f"{', '.join(ROLE_NAMES)}"
        )
    if len(set(roles.values())) < len(roles):
        several = ", ".join(sorted(named))
        raise UserError(f"{path} has several folders of one kind: {several}; keep one of each")
    return {role: named[name] for name, role in roles.items()}


def _folders(path: Path) -> list[Path]:
    try:
        entries = [entry for entry in path.iterdir() if entry.is_dir()]
    except OSError as error:
        _refuse(error)
    hidden = (GROUND_TRUTH, *NO_IMAGES)
    return sorted(entry for entry in entries if not entry.name.startswith(".") and entry.name not in hidden)


def _refuse(error: OSError):
    raise UserError(f"cannot read the folder {_shown(error.filename)}: {error.strerror or error}") from None


def is_a_line(name: str) -> bool:
    """Whether a file system's name is one line of text: bytes that are none come as lone surrogates."""
    return not any(0xD800 <= ord(letter) <= 0xDFFF or letter in "\r\n" for letter in name)


def _shown(name: str | Path) -> str:
    """A name that can be printed, whatever its bytes."""
    return str(name).encode("utf-8", "backslashreplace").decode()


def _layout(folder: Path) -> str:
    return f"{folder}/CLASS/IMAGE; {endings_in_words()}"
