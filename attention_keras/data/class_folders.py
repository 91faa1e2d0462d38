"""What a folder of pictures holds: `PATH/CLASS/IMAGE`, or with `train`, `validation`, `test` in between.

Pictures may lie in folders below their class's. Masks may lie beside them, as `GroundTruth/IMAGE.png`.
"""

from collections import Counter
from collections.abc import Iterator, Set
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from attention_keras.data.image_files import EXTENSIONS, GROUND_TRUTH, mask_files
from attention_keras.data.picture_files import (
    NO_PICTURES,
    Place,
    endings_in_words,
    in_words,
    pictures_below,
    place_of,
)
from attention_keras.data.source import Role
from attention_keras.errors import UserError

ROLE_FOLDERS: dict[str, Role] = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
    "testing": "test",
}
"""What the folders in between may be called, in any case."""


@dataclass(frozen=True)
class Picture:
    """A file, its mask if it has one, and the number of its class."""

    file: Path
    mask: Path | None
    label: int


@dataclass(frozen=True)
class ClassFolders:
    """Pictures by role, going round the classes, so that any prefix is a fair mix.

    Attributes:
        class_names: k names, sorted.
        pictures: of each role there is, `train` at least.
        passed_over: kind of file -> how many were left out.
    """

    class_names: tuple[str, ...]
    pictures: dict[Role, list[Picture]]
    passed_over: Counter[str]


def list_class_folders(path: Path) -> ClassFolders:
    """Everything in a folder, without opening a picture.

    Raises:
        UserError: another layout, fewer than two classes, a class without pictures to train on, a folder that
            cannot be read, or a class whose name is not UTF-8.
    """
    roots, passed_over = _role_roots(path), Counter[str]()
    names = tuple(folder.name for folder in _folders(roots["train"]))
    for name in names:
        if not _is_unicode(name):
            raise UserError(f"the name of the class folder {_shown(name)} is not UTF-8; rename it")
    found: dict[Role, list[Picture]] = {}
    classes = {role: _folders(root) for role, root in roots.items()}
    # A link from one class into another would give a picture two labels.
    known = {place_of(folder) for folder in (path, *roots.values(), *chain(*classes.values()))}
    for role, root in roots.items():
        listed = []
        for folder in classes[role]:
            if folder.name not in names:
                raise UserError(f"class {folder.name!r} is in {root} but not in {roots['train']}")
            label = names.index(folder.name)
            others = Counter[str]()
            files = sorted(_pictures(folder, known, others))
            passed_over += others
            if not files and role == "train":
                raise _no_images(folder, others)
            if not files:
                passed_over[f"empty class folder {folder.name} in {root.name}"] += 1
            listed += [(place, Picture(file, mask, label)) for place, (file, mask) in enumerate(files)]
        loose = sum(entry.suffix.lower() in EXTENSIONS for entry in root.iterdir() if entry.is_file())
        if loose:
            passed_over["images outside the class folders"] += loose
        if not listed:
            raise UserError(f"{root} has no images; expected {root}/CLASS/IMAGE with {_extensions()}")
        found[role] = [picture for _, picture in sorted(listed, key=lambda entry: (entry[0], entry[1].label))]
    if len(names) < 2:
        raise UserError(f"{roots['train']} has one class only, {names[0]!r}; a classifier needs two")
    return ClassFolders(names, found, passed_over)


def _role_roots(path: Path) -> dict[Role, Path]:
    """Folder of each role; where no train folder holds class folders, the classes are right here."""
    named = {folder.name: folder for folder in _folders(path)}
    if not named:
        raise UserError(f"{path} has no class folders; expected {path}/CLASS/IMAGE with {_extensions()}")
    roles = {name: ROLE_FOLDERS[name.casefold()] for name in named if name.casefold() in ROLE_FOLDERS}
    strangers = sorted(set(named) - set(roles))
    train = [name for name, role in roles.items() if role == "train"]
    if not any(_folders(named[name]) for name in train):
        if train and not strangers:
            raise UserError(
                f"{named[train[0]]} has no class folders; expected {named[train[0]]}/CLASS/IMAGE with "
                f"{_extensions()}"
            )
        return {"train": path}  # and a folder called train is a class
    if strangers:
        raise UserError(
            f"{path} has a train folder with folders in it, so {strangers[0]!r} beside it must be one of "
            f"{', '.join(ROLE_FOLDERS)}"
        )
    if len(set(roles.values())) < len(roles):
        several = ", ".join(sorted(named))
        raise UserError(f"{path} has several folders of one kind: {several}; keep one of each")
    return {role: named[name] for name, role in roles.items()}


def _folders(path: Path) -> list[Path]:
    try:
        entries = [entry for entry in path.iterdir() if entry.is_dir()]
    except OSError as error:
        raise _unreadable(path, error) from None
    hidden = (GROUND_TRUTH, *NO_PICTURES)
    return sorted(entry for entry in entries if not entry.name.startswith(".") and entry.name not in hidden)


def _pictures(
    folder: Path, known: Set[Place | None], passed_over: Counter[str]
) -> Iterator[tuple[Path, Path | None]]:
    """Every picture in a folder and below, with its mask; none of the `known` folders' own."""

    def refuse(error: OSError):
        raise _unreadable(Path(error.filename or folder), error) from None

    masks: dict[Path, dict[str, Path]] = {}
    for file in pictures_below(folder, passed_over, [GROUND_TRUTH], known, refuse):
        if file.parent not in masks:
            masks[file.parent] = mask_files(file.parent)
        yield file, masks[file.parent].get(file.stem)


def _no_images(folder: Path, others: Counter[str]) -> UserError:
    """A class folder without pictures: empty, or full of something else."""
    if not others.keys() - {"hidden"}:
        return UserError(f"class folder {folder} has no images; add some or remove the folder")
    return UserError(
        f"class folder {folder} has no images that can be read; it has {in_words(others)}; convert "
        f"them to JPEG or PNG, or remove the folder; {endings_in_words()}"
    )


def _unreadable(path: Path, error: OSError) -> UserError:
    return UserError(f"cannot read the folder {_shown(path)}: {error.strerror or error}")


def _is_unicode(name: str) -> bool:
    """Whether a file system's name is text: bytes that are none come as lone surrogates."""
    return not any(0xD800 <= ord(letter) <= 0xDFFF for letter in name)


def _shown(name: str | Path) -> str:
    """A name that can be printed, whatever its bytes."""
    return str(name).encode("utf-8", "backslashreplace").decode()


def _extensions() -> str:
    return " ".join(sorted(EXTENSIONS))
