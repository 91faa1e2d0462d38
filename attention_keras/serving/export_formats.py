"""From a model or a finished run to files of several formats, checked, that appear together or not at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attention_keras.data.geometry import Resize
from attention_keras.errors import UserError
from attention_keras.runs.directory import Run
from attention_keras.serving.card import read_card
from attention_keras.serving.formats import (
    SAVED_MODEL,
    SUFFIXES,
    Format,
    Precision,
    check_formats,
    write_format,
)
from attention_keras.serving.versions import (
    beside,
    publish,
    refuse_taken,
    refuse_unwritable,
    unfinished_version,
    versions,
)


@dataclass(frozen=True)
class Exported:
    """One written format.

    Attributes:
        format: its name.
        path: the SavedModel's directory, or the file that a runtime is told.
        size: of all its files, in bytes.
        difference: the largest of a probability from the Keras model's, on a few noise images, in the
            precision of the file; None where the runtime to check it with is not installed.
        rounding: the largest difference of a probability between that precision and the trained one; None
            where they are the same.
        trained: the precision of training.
    """

    format: Format
    path: Path
    size: int
    difference: float | None = None
    rounding: float | None = None
    trained: str = ""

    def __str__(self) -> str:
        if self.difference is None:
            checked = "not checked, since onnxruntime is not installed"
        else:
            checked = f"probabilities differ from the model's by at most {self.difference:.0e}"
        if self.rounding is not None:
            checked += f"; float32 in place of {self.trained} changes them by at most {self.rounding:.0e}"
        return f"{self.format}: {self.path}, {self.size / 1e6:.1f} MB, {checked}"


def export_run_as(
    run_path: str | Path,
    formats: Sequence[Format],
    export_dir: str | Path = "saved_models",
    version: int | None = None,
    precision: Precision = "trained",
) -> list[Exported]:
    """Export the model of a finished run in several formats. See `export_model_as`.

    Args:
        run_path: `runs/<name>`.
        formats: of `saved_model`, `litert`, `onnx` and `openvino`.
        export_dir: the exports go to `<export_dir>/<name>/`.
        version: their number; by default the highest there is plus one. Files without a SavedModel take the
            number of the SavedModel of the same run, where there is one.
        precision: of the SavedModel.

    Raises:
        UserError: the run is not finished, a package is missing, the output cannot be written, or it is not
            the model.
    """
    from attention_keras.runs.model_file import load_model

    check_formats(formats)
    run = Run.open(run_path)
    metrics, config = run.metrics(), run.config
    directory = Path(export_dir) / run.name
    refuse_unwritable(directory)
    card = {
        "name": run.name,
        "run": run.id,
        "dataset": config.data.dataset,
        "test_error": metrics.get("test_error"),
        "validation_error": metrics.get("validation_error"),
        "preprocessing": f"inside the model ({config.recipe.preprocess}); inputs are raw pixels",
        "config": config.to_dict(),
    }
    model, names = load_model(run.model), run.class_names()
    settings = {
        "temperature": run.temperature,
        "resize": config.data.resize_of_others,
        "precision": precision,
    }
    return export_model_as(
        model, directory, formats, class_names=names, card=card, version=version, **settings
    )


def export_model_as(
    model,
    directory: str | Path,
    formats: Sequence[Format],
    *,
    class_names: Sequence[str],
    card: dict[str, Any],
    version: int | None = None,
    temperature: float = 1.0,
    resize: Resize = "crop",
    precision: Precision = "trained",
    check: bool = True,
) -> list[Exported]:
    """Write a model in several formats under one number, and hold each against the Keras model.

    | format | where | precision |
    |---|---|---|
    | `saved_model` | `<directory>/<number>/` | that of training, or float32 |
    | `litert` | `<directory>/<name>-<number>.tflite` | float32 |
    | `onnx` | `<directory>/<name>-<number>.onnx` | float32 |
    | `openvino` | `<directory>/<name>-<number>.xml` and `.bin` | float32 |

    Args:
        model, directory, class_names, card, version, temperature, resize: see `export_model`.
        formats: of the table. Without `saved_model` the number is that of the SavedModel here with the `run`
            of the card, if its files are not there yet.
        precision: of the SavedModel.
        check: run every file on a few noise images; where its answers are not the Keras model's, nothing is
            exported.

    Returns:
        What was written, in the order of `formats`.

    Raises:
        UserError: a file exists, a package is missing, the network has what a format has not or no two
            classes, the names do
            not fit, the output cannot be written, or it is not the model.

    Example:
        >>> from attention_keras import build_model
        >>> model = build_model("vgg-att1-pc", num_classes=2, width=0.0625)
        >>> names = ["cat", "dog"]
        >>> for written in export_model_as(
        ...     model, "saved_models/pets", ["litert", "onnx"], class_names=names, card={}
        ... ):  # doctest: +SKIP
        ...     print(written)
        litert: saved_models/pets/pets-1.tflite, 0.3 MB, probabilities differ from the model's by at most ...
        onnx: saved_models/pets/pets-1.onnx, 0.3 MB, probabilities differ from the model's by at most ...
    """
    import tensorflow as tf

    from attention_keras.models.float32 import in_float32

    check_formats(formats)
    classes = model.output["logits"].shape[-1]
    if classes == 1:
        raise UserError("the model has one logit, and probabilities are a softmax; train it with two classes")
    if len(class_names) != classes:
        raise UserError(f"the model has {classes} classes, but there are {len(class_names)} names for them")
    directory = Path(directory)
    suffixes = [suffix for name in formats for suffix in SUFFIXES[name]]
    refuse_taken(directory, version, suffixes)
    number = None if SAVED_MODEL in formats else _number_of_run(card.get("run"), directory, suffixes)
    exact = model if (*formats, precision) == (SAVED_MODEL, "trained") else in_float32(model)
    networks = dict.fromkeys(formats, exact)
    if precision == "trained" and SAVED_MODEL in formats:
        networks[SAVED_MODEL] = model
    facts = {"class_names": class_names, "card": card, "temperature": temperature, "resize": resize}
    try:
        with unfinished_version(directory) as unfinished:
            written = _write(networks, unfinished, facts)
            measured = _check(networks, written, model, temperature) if check else {}
            sizes = {name: sum(map(_size, files.values())) for name, files in written.items()}
            files = {suffix: file for files in written.values() for suffix, file in files.items()}
            number = publish(directory, version, files.pop("", None), files, number)
    except OSError as error:
        reason = error.strerror or error
    except tf.errors.OpError as error:  # what TensorFlow's own file system raises
        reason = error.message.splitlines()[0]
    else:
        paths = {name: beside(directory, number, SUFFIXES[name][-1]) for name in formats}
        return [Exported(name, paths[name], sizes[name], *measured.get(name, ())) for name in formats]
    raise UserError(f"cannot write to {directory}: {reason}; nothing was exported, choose another folder")


def _number_of_run(run: str | None, directory: Path, suffixes: Sequence[str]) -> int | None:
    """The number of the newest SavedModel here that was made from a run, if its files are not there yet."""
    found = [
        number for number, path in versions(directory).items() if run and read_card(path).get("run") == run
    ]
    if not found or any(beside(directory, found[-1], suffix).exists() for suffix in suffixes):
        return None
    return found[-1]


def _write(
    networks: Mapping[Format, Any], unfinished: Path, facts: Mapping[str, Any]
) -> dict[Format, dict[str, Path]]:
    """Format -> suffix -> file, all in the folder `unfinished`."""
    from attention_keras.serving.saved_model import write_saved_model

    written, saved = {}, {}
    for name, network in networks.items():
        if id(network) not in saved:
            # The other formats are made from a SavedModel of float32, which is published if it was asked for.
            path = unfinished / f"saved_model_{len(saved)}"
            saved[id(network)] = write_saved_model(network, path, **facts)
        if name == SAVED_MODEL:
            written[name] = {"": saved[id(network)].path}
        else:
            written[name] = write_format(name, saved[id(network)], unfinished / "model")
    return written


def _check(
    networks: Mapping[Format, Any], written: Mapping[Format, dict[str, Path]], model, temperature: float
) -> dict[Format, tuple[float | None, float | None, str]]:
    """Format -> what `Exported` says of its numbers.

    Raises:
        UserError: a file is not the model.
    """
    from attention_keras.models.float32 import precision
    from attention_keras.serving import checks

    images, answers = checks.noise(model), {}
    with checks.exact_products():
        for network in (model, *networks.values()):
            if id(network) not in answers:
                answers[id(network)] = checks.model_answers(network, images, temperature)
        measured = {}
        for name, network in networks.items():
            wanted, file = answers[id(network)], list(written[name].values())[-1]
            difference = checks.check_file(name, file, images, precision(network), wanted)
            rounding = None
            if network is not model:
                rounding = checks.largest_difference(wanted, answers[id(model)])[checks.PROBABILITIES]
            measured[name] = difference, rounding, precision(model)
    return measured


def _size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    return sum(file.stat().st_size for file in (path, *path.rglob("*")) if file.is_file())
