"""The model card: what a version is, where it came from, and the checksums of its files."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attention_keras.runs import provenance

CARD_FILE = Path("assets") / "model_card.json"


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
        "versions": provenance.library_versions(),
        "commit": provenance.commit(),
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


def read_card(path: Path) -> dict[str, Any]:
    """The card of a version; {} where there is none that can be read.

    Args:
        path: the version's directory.
    """
    try:
        card = json.loads((path / CARD_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return card if isinstance(card, dict) else {}
