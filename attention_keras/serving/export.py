"""From a finished run to a versioned SavedModel that appears all at once."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attention_keras.data.geometry import Resize
from attention_keras.errors import UserError
from attention_keras.runs.directory import TEMPERATURE, Run
from attention_keras.serving.card import CARD_FILE, LABELS_FILE, complete_card, write_card
from attention_keras.serving.versions import newest_version, publish, refuse_taken, unfinished_version

__all__ = ["export_model", "export_run", "newest_version"]


def export_run(
    run_path: str | Path, export_dir: str | Path = "saved_models", version: int | None = None
) -> Path:
    """Export the model of a finished run.

    Args:
        run_path: `runs/<name>`.
        export_dir: the export goes to `<export_dir>/<name>/<version>/`.
        version: number of the version; by default the highest there is plus one.

    Returns:
        The version's directory.

    Raises:
        UserError: the run is not finished, or the output cannot be written.
    """
    from attention_keras.runs.model_file import load_model

    run = Run.open(run_path)
    metrics, config = run.metrics(), run.config
    card = {
        "name": run.name,
        "run": run.id,
        "dataset": config.data.dataset,
        "test_error": metrics.get("test_error"),
        "validation_error": metrics.get("validation_error"),
        "preprocessing": f"inside the model ({config.recipe.preprocess}); inputs are raw pixels",
        "config": config.to_dict(),
    }
    directory = Path(export_dir) / run.name
    model, names = load_model(run.model), run.class_names()
    settings = {"temperature": run.temperature, "resize": config.data.resize}
    return export_model(model, directory, class_names=names, card=card, version=version, **settings)


def export_model(
    model,
    directory: str | Path,
    *,
    class_names: Sequence[str],
    card: dict[str, Any],
    version: int | None = None,
    temperature: float = 1.0,
    resize: Resize = "crop",
) -> Path:
    """Write `<directory>/<version>/`, a SavedModel that readers see whole or not at all.

    The dead global branch of softmaxed pc models is left out. The graph computes in the precision that
    the model was trained in, so that it gives the Keras model's numbers; inputs are uint8 and outputs
    float32 in any case. Beside the graph: `assets/labels.txt`, `assets/model_card.json`, and warm-up
    requests in `assets.extra`. What it answers: see `attention_keras.serving.signatures`; the card lists it.

    Args:
        model: outputs `logits` `(b, k)` and `attention_<tap>` `(b, h, w)`; raw pixels in, of one size or any.
        directory: the model's base path.
        class_names: k names.
        card: facts to keep with the model.
        version: its number; by default the highest there is plus one.
        temperature: what the logits are divided by before the softmax; the card has it too.
        resize: how `serve_bytes` brings pictures of another shape to the model's: `crop`, `stretch` or `pad`;
            the card has it too.

    Returns:
        The version's directory.

    Raises:
        UserError: the version exists, the names do not fit, or the output cannot be written.

    Example:
        >>> from attention_keras import build_model
        >>> model = build_model("vgg-att1-pc", num_classes=2, width=0.0625)
        >>> export_model(model, "saved_models/pets", class_names=["cat", "dog"], card={})  # doctest: +SKIP
        PosixPath('saved_models/pets/1')
    """
    import tensorflow as tf

    classes = model.output["logits"].shape[-1]
    if len(class_names) != classes:
        raise UserError(f"the model has {classes} classes, but there are {len(class_names)} names for them")
    directory = Path(directory)
    refuse_taken(directory, version)
    try:
        with unfinished_version(directory) as unfinished:
            _write(model, unfinished, class_names, card, temperature, resize)
            return publish(unfinished, directory, version)
    except OSError as error:
        reason = error.strerror or error
    except tf.errors.OpError as error:  # what TensorFlow's own file system raises
        reason = error.message.splitlines()[0]
    raise UserError(f"cannot write to {directory}: {reason}; nothing was exported, choose another folder")


def _write(
    model,
    path: Path,
    class_names: Sequence[str],
    card: dict[str, Any],
    temperature: float,
    resize: Resize,
) -> None:
    """A complete version at `path`."""
    import tensorflow as tf

    from attention_keras.models.prune import prune_dead_branch
    from attention_keras.serving.signatures import ServedClassifier
    from attention_keras.serving.warmup import write_warmup

    pruned = prune_dead_branch(model)
    served = ServedClassifier(pruned, temperature, resize)
    card = {**card, TEMPERATURE: temperature, "resize": resize}
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
