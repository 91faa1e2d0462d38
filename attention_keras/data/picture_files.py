"""Which picture files the words of a command line mean: files, folders and patterns."""

import glob
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from attention_keras.data.image_files import EXTENSIONS, can_be_opened
from attention_keras.errors import UserError

NO_PICTURES = frozenset(["__MACOSX"])
"""Folders whose files only look like pictures."""
DRAWINGS = "pictures"
"""Folder in the output of `predict` for what it draws."""
LONGEST_STEM = 150
"""In bytes. File systems take names of 255, and a number, the name of a layer and an ending follow."""

Place = tuple[int, int]
"""Device and number of a folder."""


@dataclass(frozen=True)
class PictureFiles:
    """The files found, and how many of which kind were passed over in folders.

    Attributes:
        files: in the order of the words, inside a folder by name; each file once.
        passed_over: ending, or what it is -> number of files.
    """

    files: list[Path]
    passed_over: Counter[str]


def find_pictures(words: Sequence[str], output: Path | None = None) -> PictureFiles:
    """Every picture that the words name.

    A folder stands for the pictures in it and in the folders below; hidden files and the copies that macOS
    makes (`._*`, `__MACOSX`) are left out. A file named by itself is taken whatever its ending.

    Args:
        words: files, folders, and patterns such as `new/*.jpg`, for shells that do not expand them.
        output: the folder that answers go to. Its drawings are passed over, for they are answers themselves.

    Raises:
        UserError: a word names nothing, or no picture was found.
    """
    passed_over: Counter[str] = Counter()
    place, found = cache(place_of), dict[tuple, Path]()
    for word in words:
        for file in _named(word, passed_over):
            found.setdefault((place(file.parent), file.name), file)
    drawings = output / DRAWINGS if output else None
    own = place(drawings) if drawings else None
    files = [file for (where, _), file in found.items() if where != own]
    if len(files) < len(found):
        passed_over[f"in {drawings}, where this command draws"] += len(found) - len(files)
    if not files:
        others = f"; passed over: {in_words(passed_over)}" if passed_over else ""
        raise UserError(f"no pictures in {', '.join(words)}{others}; {endings_in_words()}")
    return PictureFiles(files, passed_over)


def _named(word: str, passed_over: Counter[str]) -> Iterator[Path]:
    """The pictures that one word stands for."""
    path = Path(word).expanduser()
    if path.exists() or path.is_symlink():
        matches = [path]
    else:
        matches = [Path(match) for match in sorted(glob.glob(str(path), recursive=True))]
    if not matches:
        raise UserError(f"there is no file or folder {word}")
    for match in matches:
        yield from pictures_below(match, passed_over) if match.is_dir() else [match]


def pictures_below(
    folder: Path,
    passed_over: Counter[str],
    leave_out: Collection[str] = (),
    elsewhere: Set[Place | None] = frozenset(),
    refuse: Callable[[OSError], None] | None = None,
) -> Iterator[Path]:
    """Every picture in a folder and below, by name.

    Links are followed, but no folder is looked through twice, nor one that `folder` itself is in.

    Args:
        folder: to look through; hidden folders in it and `NO_PICTURES` are left out.
        passed_over: counts the other files, by what they are.
        leave_out: names of further folders that are not looked through.
        elsewhere: places of folders that links may lead to and whose pictures do not belong here.
        refuse: what to do about a folder that cannot be read; by default it has no pictures.
    """
    seen = {*elsewhere, *map(place_of, folder.resolve().parents)} - {place_of(folder)}
    for place, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        if (here := place_of(Path(place))) in seen:
            passed_over["folders seen already"] += 1
            folders.clear()
            continue
        seen.add(here)
        folders[:] = sorted(
            n for n in folders if not n.startswith(".") and n not in NO_PICTURES and n not in leave_out
        )
        for name in sorted(names):
            ending = Path(name).suffix.lower()
            if name.startswith("."):
                passed_over["hidden"] += 1
            elif ending in EXTENSIONS and can_be_opened(Path(place, name)):
                yield Path(place, name)
            elif ending in EXTENSIONS:
                passed_over["no regular files"] += 1
            else:
                passed_over[ending or "without an ending"] += 1


def place_of(folder: Path) -> Place | None:
    """What tells a folder from others, whatever name or link leads to it; None where there is none.

    Example:
        >>> place_of(Path(".")) == place_of(Path.cwd()) != place_of(Path.cwd().parent)
        True
    """
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def endings_in_words() -> str:
    """Which files are taken for pictures."""
    return f"endings that are read: {' '.join(sorted(EXTENSIONS))}"


def in_words(passed_over: Counter[str]) -> str:
    """The most frequent first.

    Example:
        >>> in_words(Counter({".txt": 1, "hidden": 1200}))
        '1,200 hidden, 1 .txt'
    """
    return ", ".join(f"{count:,} {kind}" for kind, count in passed_over.most_common())


def stems(paths: Iterable[Path]) -> list[str]:
    """A name for what is made of each picture; where two files share one, a number tells them apart.

    Names are at most `LONGEST_STEM` bytes long, and a number.

    Example:
        >>> stems([Path("a/cat.png"), Path("b/cat.jpg"), Path("dog.png")])
        ['cat', 'cat-2', 'dog']
    """
    names: dict[str, str] = {}  # some file systems do not tell Cat from cat
    for path in paths:
        stem = path.stem
        while len(os.fsencode(stem)) > LONGEST_STEM:
            stem = stem[:-1]
        name, number = stem, 1
        while name.casefold() in names:
            number += 1
            name = f"{stem}-{number}"
        names[name.casefold()] = name
    return list(names.values())
