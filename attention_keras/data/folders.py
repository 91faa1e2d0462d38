"""A folder of images as a table: `PATH/CLASS/IMAGE`, or with `train`, `validation`, `test` in between.

Images may lie in folders below their class's. Masks may lie beside them, as `GroundTruth/IMAGE.png`.
"""

import logging
import re
from collections import Counter
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import numpy as np

from attention_keras.data.files import NO_IMAGES, endings_in_words, folder_id, images_below, in_words
from attention_keras.data.image_files import EXTENSIONS
from attention_keras.data.registry import GroupBy
from attention_keras.data.split import Role
from attention_keras.data.table import BOX, ImageTable
from attention_keras.errors import UserError

GROUND_TRUTH = "GroundTruth"
"""Folder beside the images with their masks: files of the same names, whatever the ending."""
ROLE_NAMES: dict[str, Role] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""What a folder in between, or the split of a table, may be called, in any case."""

NO_LINE = r"[\r\n\ud800-\udfff]"
"""What is in no line of text; bytes of a file's name that are no UTF-8 come as lone surrogates."""
Row = tuple[Path, str, Role, str]
"""File, label, role and group."""

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
    if wrong := next(filter(re.compile(NO_LINE).search, names), None):
        raise UserError(f"the name of the class folder {wrong!a} is not a line of UTF-8; rename it")
    # A link from one class into another would give an image two labels.
    known = {folder_id(folder) for folder in (root, *roots.values(), *chain(*classes.values()))}
    rows: list[Row] = []
    for role, folder in roots.items():
        before = len(rows)
        for class_folder in classes[role]:
            name, others = class_folder.name, Counter[str]()
            if name not in names:
                raise UserError(f"class {name!r} is in {folder} but not in {roots['train']}")
            files = sorted(images_below(class_folder, others, [GROUND_TRUTH], known, _refuse))
            passed_over += others
            if not files and role == "train":
                there = f" that can be read; it has {in_words(others)}" if others else ""
                raise UserError(f"{class_folder} has no images{there}; {endings_in_words()}; or remove it")
            if not files:
                passed_over[f"empty class folder {name} in {folder.name}"] += 1
            for file in files:
                # A patient, say, may be in several classes.
                group, *below = file.relative_to(class_folder).parts
                if group_by == "parent" and not below:
                    raise UserError(f"{file} is in no group; group_by parent needs CLASS/GROUP/IMAGE")
                rows.append((file, name, role, group if group_by == "parent" else ""))
        loose = sum(entry.suffix.lower() in EXTENSIONS for entry in folder.iterdir() if entry.is_file())
        passed_over += Counter({"images outside the class folders": loose})
        if len(rows) == before:
            raise UserError(f"{folder} has no images; expected {folder}/CLASS/IMAGE; {endings_in_words()}")
    if len(names) < 2:
        raise UserError(f"{roots['train']} has one class only, {names[0]!r}; a classifier needs two")
    if passed_over:
        logger.warning("folder:%s: %d images; passed over: %s", path, len(rows), in_words(passed_over))
    return _table(root, rows, _masks({file.parent for file, *_ in rows}))


def read_masked_folder(path: str | Path) -> ImageTable:
    """A table of the images below a folder that have a mask, each SET a class, as in Object Discovery."""
    root = Path(path).expanduser()
    folders = sorted(truth.parent for truth in root.rglob(GROUND_TRUTH))
    masks, rows = _masks(folders), list[Row]()
    for folder in folders:
        files = (file for file in sorted(folder.iterdir()) if file.suffix.lower() in EXTENSIONS)
        label = folder.relative_to(root).as_posix()
        rows += [(file, label, "test", "") for file in files if file.with_suffix("") in masks]
    if not rows:
        raise UserError(f"{root} has no image with a mask; expected SET/IMAGE and SET/{GROUND_TRUTH}/IMAGE")
    return _table(root, rows, masks)


def _masks(folders: Iterable[Path]) -> dict[Path, Path]:
    """Each image of some folders, without its ending, whose mask lies beside it -> the mask."""
    found = (mask for folder in folders for mask in sorted((folder / GROUND_TRUTH).glob("*")))
    return {mask.parents[1] / mask.stem: mask for mask in found if mask.suffix.lower() in EXTENSIONS}


def _table(root: Path, rows: list[Row], masks: dict[Path, Path]) -> ImageTable:
    def below(file: Path | None) -> str:
        return file.relative_to(root).as_posix() if file else ""

    files, labels, roles, groups = zip(*rows)
    class_names, numbers = np.unique(np.array(labels, object), return_inverse=True)
    columns = {
        "path": [*map(below, files)],
        "split": roles,
        "group": groups,
        "mask": [below(masks.get(file.with_suffix(""))) for file in files],
        "weight": 1,
        **dict.fromkeys(BOX, 0),
    }
    return ImageTable(root, class_names, numbers.astype("int32"), columns)


def _role_roots(path: Path) -> dict[Role, Path]:
    """Folder of each role; where no train folder holds class folders, the classes are right here."""
    named = {folder.name: folder for folder in _folders(path)}
    roles = {name: ROLE_NAMES[name.casefold()] for name in named if name.casefold() in ROLE_NAMES}
    strangers = sorted(set(named) - set(roles))
    train = [named[name] for name, role in roles.items() if role == "train"]
    if not any(map(_folders, train)):
        if train and not strangers:
            raise UserError(f"{train[0]} has no class folders; expected {train[0]}/CLASS/IMAGE")
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
    raise UserError(f"cannot read the folder {error.filename}: {error.strerror or error}") from None
