"""Reading and writing `.keras` files. Archives that are not what they say are refused."""

import contextlib
import re
import stat
import zipfile
from pathlib import Path, PurePosixPath

import keras

from attention_keras.errors import UserError
from attention_keras.models.classifier import Classifier
from attention_keras.runs.directory import MODEL
from attention_keras.runs.durable import flush, whole

LARGEST_CONFIG = 64 << 20
LARGEST_RATIO = 100


def load_model(path: str | Path) -> keras.Model:
    """The Keras model of a run directory or a `.keras` file, with all its outputs.

    No code in the file is run: Keras's safe mode stays on, and archives with surprising members
    (paths out of the archive, links, contents that unpack to a hundred times their size) are refused
    before they are opened.

    Args:
        path: `runs/<name>` or `<file>.keras`.

    Raises:
        UserError: there is no such file, or it cannot be loaded; one line says why.

    Example:
        >>> load_model("runs/demo")  # doctest: +SKIP
    """
    file = _checked_file(Path(path))
    try:
        return keras.models.load_model(file, compile=False)
    # Keras documents no set of errors for damaged files; whatever it raises, the file is the cause.
    except (Exception, RecursionError) as error:
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise UserError(f"cannot load {file}: {reason[:200]}") from None


def image_side(path: str | Path) -> int | None:
    """Height of the images that the model of a file takes; None where it takes any.

    Read from the file's description of its input, since to build a network takes seconds.
    """
    with zipfile.ZipFile(_checked_file(Path(path))) as archive, contextlib.suppress(KeyError):
        if side := re.search(rb'"batch_shape": \[null, (\d+|null), ', archive.read("config.json")):
            return None if side[1] == b"null" else int(side[1])
    return load_model(path).input_shape[1]


def _checked_file(path: Path) -> Path:
    """The archive of a run directory or a file, unless it would write outside or unpack to too much."""
    file = path / MODEL if path.is_dir() else path
    if not file.exists() or file.suffix != ".keras":
        reason = "it is no .keras file" if file.exists() else "it is missing"
        raise UserError(f"cannot load {file}: {reason}; give a finished run or a .keras file")
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        raise UserError(f"cannot load {file}: it is not a .keras archive ({error})") from None
    for member in members:
        name = PurePosixPath(member.filename)
        if name.is_absolute() or ".." in name.parts or stat.S_ISLNK(member.external_attr >> 16):
            raise UserError(f"cannot load {file}: it holds the unsafe path {member.filename!r}")
        if name.suffix == ".json" and member.file_size > LARGEST_CONFIG:
            raise UserError(f"cannot load {file}: {name} would unpack to {member.file_size:,} bytes")
    size, unpacked = file.stat().st_size, sum(member.file_size for member in members)
    if unpacked > LARGEST_RATIO * size:
        raise UserError(f"cannot load {file}: {size:,} bytes would unpack to {unpacked:,}")
    return file


def save_model(model: Classifier, path: Path) -> None:
    """Write a `.keras` file under a temporary name and rename it in. It holds no optimiser."""
    temporary = path.with_name(f".{path.stem}.tmp.keras")
    with whole(path, temporary):
        model.like(model.input, model.output).save(temporary)  # of the same layers, and not compiled
    flush(path.parent)
