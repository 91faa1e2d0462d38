"""Which image files the words of a command line, or a folder, stand for."""

import glob
import hashlib
import os
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence, Set
from functools import cache
from pathlib import Path

from attention_keras.data.image_files import EXTENSIONS, can_be_opened
from attention_keras.errors import UserError

NO_IMAGES = frozenset(["__MACOSX"])
"""Folders whose files only look like images."""
DRAWINGS = "pictures"
"""Folder in the output of `predict` for what it draws."""
LONGEST_STEM = 150
"""In bytes. File systems take names of 255, and a digest, the name of a layer and an ending follow."""


def find_images(words: Sequence[str], output: Path | None = None) -> tuple[list[Path], Counter[str]]:
    """Every image that the words name, in their order and once; how many of which kind were passed over.

    Words are files, folders with those below, patterns, @FILE for the words in the lines of a file, and - for
    those of stdin. In folders hidden files, the copies that macOS makes (`._*`, `__MACOSX`) and the drawings
    of this command in `output` are passed over. A file named by itself is taken whatever its ending.
    """
    passed_over: Counter[str] = Counter()
    identify, found = cache(folder_id), dict[tuple, Path]()
    drawings = identify(output / DRAWINGS) if output else None
    for word in _listed(words):
        for file in _named(word, passed_over):
            found.setdefault((identify(file.parent), file.name), file)
    files = [file for (folder, _), file in found.items() if folder != drawings or not drawings]
    if len(files) < len(found):
        passed_over[f"in {output / DRAWINGS}, where this command draws"] += len(found) - len(files)
    if not files:
        others = f"; passed over: {in_words(passed_over)}" if passed_over else ""
        raise UserError(f"no images in {', '.join(words)}{others}; {endings_in_words()}")
    return files, passed_over


def _listed(words: Sequence[str]) -> Iterator[str]:
    for word in words:
        if (word != "-" and not word.startswith("@")) or Path(word).exists():
            yield word
            continue
        try:
            content = sys.stdin.buffer.read() if word == "-" else Path(word[1:]).expanduser().read_bytes()
        except OSError as error:
            raise UserError(f"cannot read the list {word[1:]}: {error.strerror}") from None
        yield from filter(None, os.fsdecode(content).splitlines())


def _named(word: str, passed_over: Counter[str]) -> Iterator[Path]:
    path = Path(word).expanduser()
    matches = [path]
    if not (path.exists() or path.is_symlink()):
        # Brackets in the name of a folder that is there are no pattern.
        folder = next(parent for parent in path.parents if parent.is_dir())
        pattern = os.path.join(glob.escape(str(folder)), path.relative_to(folder))
        matches = [Path(match) for match in sorted(glob.glob(pattern, recursive=True))]
    if not matches:
        raise UserError(f"there is no file or folder {word}")
    for match in matches:
        yield from images_below(match, passed_over) if match.is_dir() else [match]


def images_below(
    folder: Path,
    passed_over: Counter[str],
    leave_out: Collection[str] = (),
    elsewhere: Set[tuple[int, int] | None] = frozenset(),
    refuse: Callable[[OSError], None] | None = None,
) -> Iterator[Path]:
    """Every image in a folder and below, by name; `passed_over` counts the other files.

    Links are followed, but to no folder twice, nor to one that `folder` is in, nor to one of `elsewhere`.
    `refuse` is called for a folder that cannot be read; by default it has no images.
    """
    seen = {*elsewhere, *map(folder_id, folder.resolve().parents)} - {folder_id(folder)}
    for root, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        if (here := folder_id(Path(root))) in seen:
            passed_over["folders seen already"] += 1
            folders.clear()
            continue
        seen.add(here)
        folders[:] = sorted({n for n in folders if not n.startswith(".")} - NO_IMAGES - {*leave_out})
        for name in sorted(names):
            ending = Path(name).suffix.lower()
            if name.startswith("."):
                passed_over["hidden"] += 1
            elif ending not in EXTENSIONS:
                passed_over[ending or "without an ending"] += 1
            elif can_be_opened(Path(root, name)):
                yield Path(root, name)
            else:
                passed_over["no regular files"] += 1


def folder_id(folder: Path) -> tuple[int, int] | None:
    """Device and number, which tell it from others, whatever link leads to it; None where there is none."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def endings_in_words() -> str:
    return f"endings that are read: {' '.join(sorted(EXTENSIONS))}"


def in_words(passed_over: Counter[str]) -> str:
    """The most frequent first."""
    return ", ".join(f"{count:,} {kind}" for kind, count in passed_over.most_common())


def digest(path: Path) -> str:
    """Ten hexadecimal digits, the same for this path on every machine."""
    return hashlib.blake2b(os.fsencode(path), digest_size=5).hexdigest()


def unique_stem(path: Path) -> str:
    """A name for what is made of an image: its own, shortened, and a digest that tells equal ones apart."""
    stem = path.stem
    while len(os.fsencode(stem)) > LONGEST_STEM:
        stem = stem[:-1]
    return f"{stem}-{digest(path)}"


def in_shard(files: Sequence[Path], number: int, count: int) -> list[Path]:
    """Those of the shard `number`, from 1 to `count`; which one a file is in depends on its path alone."""
    return [file for file in files if int(digest(file), 16) % count == number - 1]
