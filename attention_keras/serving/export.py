"""From a finished run to a versioned SavedModel that appears all at once.

python -m attention_keras.serving.export runs/demo
python -m attention_keras.serving.export runs/demo --to /models --version 7
"""

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from attention_keras.command_line import exit_code, parse
from attention_keras.errors import UserError

UNFINISHED = ".unfinished-"


@dataclass(frozen=True)
class ExportConfig:
    """What to export, and where to."""

    run: tyro.conf.Positional[str]
    """A finished run directory."""
    to: str = "saved_models"
    """Folder of all exports: <to>/<run's name>/<version>/."""
    version: int | None = None
    """Version number (default: the highest there is, plus one)."""


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
    from attention_keras.models.loading import load_model
    from attention_keras.training.config import TrainConfig

    run_path = Path(run_path)
    config = TrainConfig.load(run_path)
    try:
        metrics = json.loads((run_path / "metrics.json").read_text(encoding="utf-8"))
        class_names = (run_path / "labels.txt").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise UserError(f"{run_path} is not a finished run ({error}); train it to its end first") from None
    card = {
        "name": run_path.resolve().name,
        "dataset": config.dataset,
        "test_error": metrics.get("test_error"),
        "validation_error": metrics.get("validation_error"),
        "preprocessing": f"inside the model ({config.preprocess}); inputs are raw pixels",
        "config": config.to_dict(),
    }
    model = load_model(run_path)
    directory = Path(export_dir) / run_path.resolve().name
    return export_model(model, directory, class_names=class_names, card=card, version=version)


def export_model(
    model,
    directory: str | Path,
    *,
    class_names: Sequence[str],
    card: dict[str, Any],
    version: int | None = None,
) -> Path:
    """Write `<directory>/<version>/`, a SavedModel that readers see whole or not at all.

    The dead global branch of softmaxed pc models is left out. Beside the graph: `assets/labels.txt`,
    `assets/model_card.json`, and warm-up requests in `assets.extra`.

    Args:
        model: outputs `logits` and `attention_<tap>`.
        directory: the model's base path.
        class_names: k names.
        card: facts to keep with the model.
        version: its number; by default the highest there is plus one.

    Raises:
        UserError: the version exists, or the output cannot be written.
    """
    directory = Path(directory)
    if version is not None and (directory / str(version)).exists():
        raise UserError(f"{directory / str(version)} exists already; leave --version out to get the next one")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        # TF Serving takes integer names for versions; this one it passes over.
        unfinished = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=directory))
    except OSError as error:
        raise UserError(f"cannot write to {directory}: {error.strerror}; choose another folder") from None
    try:
        _write(model, unfinished, class_names, card)
        unfinished.chmod(0o755)
        return _publish(unfinished, directory, version)
    except OSError as error:
        raise UserError(f"cannot write to {directory}: {error.strerror}; nothing was exported") from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write(model, path: Path, class_names: Sequence[str], card: dict[str, Any]) -> None:
    import tensorflow as tf

    from attention_keras.models.prune import prune_dead_branch
    from attention_keras.serving.signatures import ServedClassifier
    from attention_keras.serving.warmup import write_warmup

    pruned = prune_dead_branch(model)
    served = ServedClassifier(pruned)
    with tempfile.TemporaryDirectory() as folder:
        labels, facts = Path(folder) / "labels.txt", Path(folder) / "model_card.json"
        labels.write_text("".join(f"{name}\n" for name in class_names), encoding="utf-8")
        facts.write_text(json.dumps(_complete(card, pruned, class_names), indent=2) + "\n", encoding="utf-8")
        served.labels = tf.saved_model.Asset(str(labels))
        served.model_card = tf.saved_model.Asset(str(facts))
        tf.saved_model.save(served, str(path), signatures=served.signatures())
    write_warmup(path, served.image_shape)


def _complete(card: dict[str, Any], model, class_names: Sequence[str]) -> dict[str, Any]:
    """The card with what follows from the model and this machine's software."""
    import keras
    import numpy as np
    import tensorflow as tf

    digest = hashlib.sha256()
    for weights in model.get_weights():
        digest.update(np.ascontiguousarray(weights).tobytes())
    return {
        **card,
        "classes": list(class_names),
        "input": {"shape": list(model.inputs[0].shape[1:]), "dtype": "uint8", "range": [0, 255]},
        "parameters": model.count_params(),
        "weights_sha256": digest.hexdigest(),
        "versions": {"keras": keras.__version__, "tensorflow": tf.__version__},
        "commit": _commit(),
    }


def _commit() -> str | None:
    """The git commit of this code, where it is a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _publish(unfinished: Path, directory: Path, version: int | None) -> Path:
    """Rename into place; another exporter that took the number first makes us take the next."""
    for path in [unfinished, *unfinished.rglob("*")]:
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
    while True:
        number = version if version is not None else max(versions(directory), default=0) + 1
        target = directory / str(number)
        try:
            # Renaming a directory fails when the target is a directory with something in it.
            unfinished.rename(target)
            return target
        except OSError:
            if not target.exists():
                raise
            if version is not None:
                raise UserError(f"{target} exists already; leave --version out to get the next one") from None


def versions(directory: str | Path) -> list[int]:
    """The version numbers under a model's base path, ascending; other names are passed over."""
    directory = Path(directory)
    if not directory.is_dir():
        return []
    return sorted(int(entry.name) for entry in directory.iterdir() if entry.name.isdecimal())


def newest_version(directory: str | Path) -> Path | None:
    """The directory of the highest version, or None."""
    numbers = versions(directory)
    return Path(directory) / str(numbers[-1]) if numbers else None


def main() -> int:
    """The command line."""
    config = parse(ExportConfig, description=__doc__)
    if config.version is not None and config.version < 0:
        raise UserError(f"version must be 0 or more; got {config.version}")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    print(f"exported to {export_run(**_renamed(dataclasses.asdict(config)))}")
    return 0


def _renamed(values: dict[str, Any]) -> dict[str, Any]:
    return {"run_path": values["run"], "export_dir": values["to"], "version": values["version"]}


if __name__ == "__main__":
    sys.exit(exit_code(main))
