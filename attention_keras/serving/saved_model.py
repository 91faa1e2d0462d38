"""One complete SavedModel: the network with its signatures, labels, model card and warm-up requests."""

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from attention_keras.data.geometry import Resize
from attention_keras.models.copies import precision
from attention_keras.models.parts import prune_dead_branch
from attention_keras.serving.card import CARD_FILE, LABELS_FILE, complete_card, write_card
from attention_keras.serving.signatures import ServedClassifier
from attention_keras.serving.warmup import write_warmup


@dataclass(frozen=True)
class SavedNetwork:
    """A network, its SavedModel, and the concrete functions of its signatures by name."""

    served: ServedClassifier
    path: Path
    signatures: dict[str, Any]


def write_saved_model(
    model,
    path: Path,
    class_names: Sequence[str],
    card: dict[str, Any],
    probabilities: Callable,
    resize: Resize,
) -> SavedNetwork:
    """A complete version at `path`. The dead global branch of softmaxed pc models is left out."""
    pruned = prune_dead_branch(model)
    meaning = {name: card[name] for name in ("activation", "thresholds", "value_range")}
    served = ServedClassifier(pruned, class_names, probabilities, resize, **meaning)
    card = {**card, "resize": resize, "precision": precision(pruned)}
    signatures = served.signatures()
    card = complete_card(card, pruned, class_names, signatures)
    with tempfile.TemporaryDirectory() as folder:
        labels, facts = Path(folder) / LABELS_FILE.name, Path(folder) / CARD_FILE.name
        labels.write_text("".join(f"{name}\n" for name in class_names), encoding="utf-8")
        facts.write_text(json.dumps(card), encoding="utf-8")
        served.labels = tf.saved_model.Asset(str(labels))
        served.model_card = tf.saved_model.Asset(str(facts))
        tf.saved_model.save(served, str(path), signatures=signatures)
    inputs = {name: list(facts["inputs"]) for name, facts in card["signatures"].items()}
    write_warmup(path, served.image_shape, inputs)
    write_card(path, card)  # last: it has the checksums of all the rest
    return SavedNetwork(served, path, signatures)
