"""Which picture files the words of a command line mean: files, folders and patterns."""

import glob
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attention_keras.data.image_files import EXTENSIONS
from attention_keras.errors import UserError

NO_PICTURES = frozenset(["__MACOSX"])
"""Folders whose files only look like pictures."""


@dataclass(frozen=True)
class PictureFiles:
    """The files found, and how many of which kind were passed over in folders.

    Attributes:
        files: in the order of the words, inside a folder by name; each file once.
        passed_over: ending, or what it is -> number of files.
    """

    files: list[Path]
    passed_over: Counter[str]


def find_pictures(words: Sequence[str]) -> PictureFiles:
    """Every picture that the words name.

    A folder stands for the pictures in it and in the folders below; hidden files and the copies that macOS
    makes (`._*`, `__MACOSX`) are left out. A file named by itself is taken whatever its ending.

    Args:
        words: files, folders, and patterns such as `new/*.jpg`, for shells that do not expand them.

    Raises:
        UserError: a word names nothing, or no picture was found.
    """
    found: dict[Path, None] = {}
    passed_over: Counter[str] = Counter()
    for word in words:
        path = Path(word).expanduser()
        if path.is_dir():
            found |= dict.fromkeys(pictures_below(path, passed_over))
        elif path.exists() or path.is_symlink():
            found[path] = None
        elif matches := sorted(glob.glob(str(path), recursive=True)):
            for match in map(Path, matches):
                found |= dict.fromkeys(pictures_below(match, passed_over) if match.is_dir() else [match])
        else:
            raise UserError(f"there is no file or folder {word}")
    if not found:
        raise UserError(
            f"no pictures in {', '.join(words)}; endings that are read: {' '.join(sorted(EXTENSIONS))}"
        )
    return PictureFiles(list(found), passed_over)


def pictures_below(
    folder: Path, passed_over: Counter[str], leave_out: Collection[str] = (), **walking: Any
) -> Iterator[Path]:
    """Every picture in a folder and below, by name.

    Args:
        folder: to look through; hidden folders in it and `NO_PICTURES` are left out.
        passed_over: counts the other files, by what they are.
        leave_out: names of further folders that are not looked through.
        walking: options of `os.walk`.
    """
    for place, folders, names in os.walk(folder, **walking):
        folders[:] = sorted(
            n for n in folders if not n.startswith(".") and n not in NO_PICTURES and n not in leave_out
        )
        for name in sorted(names):
            ending = Path(name).suffix.lower()
            if name.startswith("."):
                passed_over["hidden"] += 1
            elif ending in EXTENSIONS:
                yield Path(place, name)
            else:
                passed_over[ending or "without an ending"] += 1


def in_words(passed_over: Counter[str]) -> str:
    """The most frequent first.

    Example:
        >>> in_words(Counter({".txt": 1, "hidden": 1200}))
        '1,200 hidden, 1 .txt'
    """
    return ", ".join(f"{count:,} {kind}" for kind, count in passed_over.most_common())


def stems(paths: Iterable[Path]) -> list[str]:
    """A name for what is made of each picture; where two files share one, a number tells them apart.

    Example:
        >>> stems([Path("a/cat.png"), Path("b/cat.jpg"), Path("dog.png")])
        ['cat', 'cat-2', 'dog']
    """
    names: dict[str, str] = {}  # some file systems do not tell Cat from cat
    for path in paths:
        name, number = path.stem, 1
        while name.casefold() in names:
            number += 1
            name = f"{path.stem}-{number}"
        names[name.casefold()] = name
    return list(names.values())
