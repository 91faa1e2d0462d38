"""One complete SavedModel: the network with its signatures, labels, model card and warm-up requests."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from attention_keras.data.geometry import Resize
from attention_keras.models.float32 import precision
from attention_keras.models.prune import prune_dead_branch
from attention_keras.runs.directory import TEMPERATURE
from attention_keras.serving.card import CARD_FILE, LABELS_FILE, complete_card, write_card
from attention_keras.serving.formats import SavedNetwork
from attention_keras.serving.signatures import ServedClassifier
from attention_keras.serving.warmup import write_warmup


def write_saved_model(
    model,
    path: Path,
    class_names: Sequence[str],
    card: dict[str, Any],
    temperature: float,
    resize: Resize,
) -> SavedNetwork:
    """A complete version at `path`. The dead global branch of softmaxed pc models is left out.

    Args:
        model: outputs `logits` `(b, k)` and `attention_<tap>` `(b, h, w)`; raw pixels in, of one size or any.
        path: of the version's directory.
        class_names: k names.
        card: facts to keep with the model.
        temperature: what the logits are divided by before the softmax; the card has it too.
        resize: how `serve_bytes` brings pictures to the model's shape; the card has it too.

    Raises:
        OSError, tf.errors.OpError: it cannot be written.
    """
    pruned = prune_dead_branch(model)
    served = ServedClassifier(pruned, temperature, resize)
    card = {**card, TEMPERATURE: temperature, "resize": resize, "precision": precision(pruned)}
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
