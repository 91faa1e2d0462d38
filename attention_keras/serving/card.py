"""The model card: what a version is, where it came from, and the checksums of its files."""

import hashlib
import json
import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

CARD_FILE = Path("assets") / "model_card.json"
LIBRARIES = ("attention-keras", "keras", "tensorflow", "numpy")


def complete_card(card: dict[str, Any], model, class_names: Sequence[str]) -> dict[str, Any]:
    """The card with what follows from the model and from the software on this machine.

    Args:
        card: what the training knows: dataset, errors, config.
        model: as it is exported, after pruning.
        class_names: k names.
    """
    return {
        **card,
        "classes": list(class_names),
        "input": {"shape": list(model.inputs[0].shape[1:]), "dtype": "uint8", "range": [0, 255]},
        "parameters": model.count_params(),
        "versions": {"python": platform.python_version(), **_library_versions()},
        "commit": _commit(),
    }


def write_card(path: Path, card: dict[str, Any]) -> None:
    """Put the card into a finished SavedModel, with the SHA-256 of every other file in it.

    Args:
        path: the version's directory.
        card: from `complete_card`.
    """
    files = sorted(file for file in path.rglob("*") if file.is_file() and file != path / CARD_FILE)
    checksums = {str(f.relative_to(path)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}
    text = json.dumps({**card, "sha256": checksums}, indent=2, ensure_ascii=False)
    (path / CARD_FILE).write_text(text + "\n", encoding="utf-8")


def _library_versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _commit() -> str | None:
    """The git commit of this code, where it is a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
