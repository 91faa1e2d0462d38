"""From a finished run to a versioned SavedModel that appears all at once."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attention_keras.data.geometry import Resize
from attention_keras.serving.export_formats import export_model_as, export_run_as
from attention_keras.serving.formats import SAVED_MODEL
from attention_keras.serving.versions import newest_version

__all__ = ["export_model", "export_run", "newest_version"]


def export_run(
    run_path: str | Path, export_dir: str | Path = "saved_models", version: int | None = None
) -> Path:
    """Export the model of a finished run as a SavedModel, in the precision of training.

    Args:
        run_path: `runs/<name>`.
        export_dir: the export goes to `<export_dir>/<name>/<version>/`.
        version: number of the version; by default the highest there is plus one.

    Returns:
        The version's directory.

    Raises:
        UserError: the run is not finished, the output cannot be written, or it is not the model.
    """
    return export_run_as(run_path, [SAVED_MODEL], export_dir, version)[0].path


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
    It is not held against the model: `export_model_as` does that.

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
    return export_model_as(
        model,
        directory,
        [SAVED_MODEL],
        class_names=class_names,
        card=card,
        version=version,
        temperature=temperature,
        resize=resize,
        check=False,
    )[0].path
