"""The model card: what a version is, where it came from, and the checksums of its files."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attention_keras.errors import UserError
from attention_keras.runs import provenance
from attention_keras.runs.directory import LABELS

ASSETS = Path("assets")
CARD_FILE = ASSETS / "model_card.json"
LABELS_FILE = ASSETS / LABELS
EVIDENCE = (
    "The evidence maps of `explain` and `explain_class` say what each pixel adds to the logit of a class: "
    "the sum of `evidence` over the pixels plus `evidence_rest` is that logit less the mean of all logits "
    "(for indep networks summed over the levels)."
)
EVIDENCE_OF_LOGIT = (
    "The evidence maps of `explain` and `explain_class` say what each pixel adds to the logit of a tag, or "
    "to the number: the sum of `evidence` over the pixels plus `evidence_rest` is that logit, or the number."
)
NO_EVIDENCE = "None: the logits of this network are no sum over positions."


def complete_card(
    card: dict[str, Any], model, class_names: Sequence[str], signatures: Mapping[str, Any]
) -> dict[str, Any]:
    """What training knows (dataset, errors, config), and what follows from the model and this machine."""
    return {
        **card,
        "classes": list(class_names),
        "input": {"shape": list(model.inputs[0].shape[1:]), "dtype": "uint8", "range": [0, 255]},
        "signatures": {name: _inputs_and_outputs(function) for name, function in signatures.items()},
        "evidence": _evidence(card["activation"]) if "explain_class" in signatures else NO_EVIDENCE,
        "parameters": model.count_params(),
        "versions": provenance.library_versions(),
        "commit": provenance.commit(),
    }


def _evidence(activation: str) -> str:
    return EVIDENCE if activation == "softmax" else EVIDENCE_OF_LOGIT


def _inputs_and_outputs(function) -> dict[str, Any]:
    """Type and shape of every input and output; a length that is free is None."""
    inputs = {spec.name: spec for spec in function.structured_input_signature[0]}
    return {
        kind: {
            name: {"dtype": tensor.dtype.name, "shape": tensor.shape.as_list()}
            for name, tensor in tensors.items()
        }
        for kind, tensors in (("inputs", inputs), ("outputs", function.structured_outputs))
    }


def write_card(path: Path, card: dict[str, Any]) -> None:
    """Put the card into a finished SavedModel, with the SHA-256 of every other file in it."""
    files = sorted(file for file in path.rglob("*") if file.is_file() and file != path / CARD_FILE)
    checksums = {str(f.relative_to(path)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}
    text = json.dumps({**card, "sha256": checksums}, indent=2, ensure_ascii=False)
    (path / CARD_FILE).write_text(text + "\n", encoding="utf-8")


def read_card(path: Path) -> dict[str, Any]:
    """The card of the version at `path`; {} where it has none."""
    file = path / CARD_FILE
    try:
        card = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"cannot read {file}: {error}") from None
    if not isinstance(card, dict):
        raise UserError(f"cannot read {file}: it holds no JSON object")
    return card
