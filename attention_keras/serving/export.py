"""From a model or a finished run to a version for servers, and to files for other runtimes beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from attention_keras.data.geometry import PictureFormat, Resize
from attention_keras.data.images import model_channels
from attention_keras.errors import UserError
from attention_keras.runs.directory import TEMPERATURE, Run
from attention_keras.serving.card import read_card
from attention_keras.serving.formats import (
    SAVED_MODEL,
    SUFFIXES,
    Format,
    Layout,
    Precision,
    Quantize,
    check_formats,
    refuse_any_size,
    write_format,
)
from attention_keras.serving.int8 import Representative, images_of_folder, images_of_run, same_answers
from attention_keras.serving.triton import publish_for_triton, refuse_mixed
from attention_keras.serving.versions import (
    next_number,
    publish,
    publish_file,
    refuse_taken,
    unfinished_version,
    versions,
)


@dataclass(frozen=True)
class Exported:
    """One written format: its file or the SavedModel's directory, and the bytes of it.

    `difference` is the largest of a probability from the Keras model's in the precision of the file, on noise
    images; None without the runtime to check it with. `rounding` is the largest between that precision and
    the `trained` one; None where they are the same. Of int8, `difference` is on images like those of the
    training, and `agreement` says how many answers are the Keras model's, and of how many; else it is None.
    """

    format: Format
    path: Path
    size: int
    difference: float | None
    rounding: float | None
    trained: str
    agreement: tuple[int, int] | None = None

    def __str__(self) -> str:
        if self.difference is None:
            checked = "not checked, since onnxruntime is not installed"
        else:
            checked = f"probabilities differ from the model's by at most {self.difference:.0e}"
        if self.agreement is not None:
            checked = f"{self.agreement[0]} of {self.agreement[1]} answers are the model's, {checked}"
        if self.rounding is not None:
            checked += f"; float32 in place of {self.trained} changes them by at most {self.rounding:.0e}"
        return f"{self.format}: {self.path}, {self.size / 1e6:.1f} MB, {checked}"


def export_run(
    run_path: str | Path,
    export_dir: str | Path = "saved_models",
    version: int | None = None,
    formats: Sequence[Format] = (SAVED_MODEL,),
    precision: Precision = "trained",
    quantize: Quantize = "none",
    images: str | Path | None = None,
    layout: Layout = "plain",
) -> list[Exported]:
    """Export the model of a finished run to `<export_dir>/<name>/`: see `export_model`.

    Of int8, the ranges are those of the run's own images, or of the `images` in a folder.
    """
    from attention_keras.runs.model_file import load_model

    check_formats(formats, quantize, layout)
    if images and quantize == "none":
        raise UserError("images are for int8 alone; leave them out")
    run = Run.open(run_path)
    metrics, config = run.metrics(), run.config
    model, representative = load_model(run.model), None
    if quantize == "int8":
        *size, channels = model.inputs[0].shape[1:]
        refuse_any_size(size)
        values = getattr(model, "value_range", None)
        to = PictureFormat(tuple(size), config.resize_of_others, values, model_channels(channels))
        representative = images_of_folder(images, to) if images else images_of_run(config)
    directory = Path(export_dir) / run.name
    card = {
        "name": run.name,
        "run": run.id,
        "dataset": config.dataset,
        **{name: value for name, value in metrics.items() if name.startswith(("test_", "validation_"))},
        "preprocessing": f"inside the model ({config.preprocess}); inputs are raw pixels",
        "config": config.identity(),
    }
    return export_model(
        model,
        directory,
        formats,
        class_names=run.class_names(),
        card=card,
        version=version,
        temperature=run.temperature,
        resize=config.resize_of_others,
        precision=precision,
        representative=representative,
        layout=layout,
    )


def export_model(
    model,
    directory: str | Path,
    formats: Sequence[Format] = (SAVED_MODEL,),
    *,
    class_names: Sequence[str],
    card: dict[str, Any],
    version: int | None = None,
    temperature: float | Sequence[float] = 1.0,
    resize: Resize = "crop",
    precision: Precision = "trained",
    representative: Representative | None = None,
    layout: Layout = "plain",
) -> list[Exported]:
    """Write a model in one or several formats, and hold each file against the Keras model.

    | format | where | precision |
    |---|---|---|
    | `saved_model` | `<directory>/<number>/` | that of training, or float32 |
    | `litert` | `<directory>/<name>-<number>.tflite` | float32 |
    | `litert`, with `representative` images | `<directory>/<name>-<number>-int8.tflite` | int8 |
    | `onnx` | `<directory>/<name>-<number>.onnx` | float32 |
    | `onnx`, in the `layout` of Triton | `<directory>/<number>/model.onnx` | float32 |

    Each is written under a temporary name, run on a few noise images, and renamed, so that readers see it
    whole or not at all. Where an answer is not the Keras model's, nothing is exported.

    `model` has outputs `logits` `(b, k)` and `attention_<tap>` `(b, h, w)`, and takes raw pixels. `card` is
    kept with it. The version is by default the highest there is plus one; files without a SavedModel take the
    number of the newest SavedModel with the `run` of the card, where there is one. Logits are divided by
    `temperature`. `resize` says how images of another shape are brought to the model's.

    Raises:
        UserError: a format or name that does not fit, a folder that cannot be written, or other answers.

    Example:
        >>> export_model(model, "saved_models/mine", class_names=["cat", "dog"], card={})  # doctest: +SKIP
        [Exported(...)]
    """
    import tensorflow as tf

    from attention_keras.models.classifier import probabilities_of

    triton, int8 = layout == "triton", representative is not None
    check_formats(formats, "int8" if int8 else "none", layout)
    probabilities = probabilities_of(model, temperature)
    classes = model.output["logits"].shape[-1]
    if len(class_names) != classes:
        raise UserError(f"the model has {classes} classes, but there are {len(class_names)} names for them")
    directory = Path(directory)
    if triton or SAVED_MODEL in formats:
        refuse_mixed(directory, triton)
    elif version is None:
        version = _number_of_run(directory, card.get("run"))
    if version is not None:
        for name in formats:
            refuse_taken(directory, version, "" if triton else _suffix(name, int8))
    meaning = {"activation": "softmax", "thresholds": None, "value_range": None}
    card = {**card, TEMPERATURE: temperature}
    card |= {name: getattr(model, name, usual) for name, usual in meaning.items()}
    facts = {"class_names": class_names, "card": card, "probabilities": probabilities, "resize": resize}
    try:
        with unfinished_version(directory) as folder:
            written = _write(model, formats, precision, folder, facts, representative)
            if triton:
                return [replace(written[0], path=publish_for_triton(written[0].path, directory, version))]
            return _publish(written, directory, version, int8)
    except (OSError, tf.errors.OpError) as error:  # the second is what TensorFlow's own file system raises
        reason = error.strerror or error if isinstance(error, OSError) else error.message.splitlines()[0]
        raise UserError(
            f"cannot write to {directory}: {reason}; nothing was exported, choose another folder"
        ) from None


def _suffix(name: Format, int8: bool) -> str:
    """What a file's name ends in; of a SavedModel nothing."""
    return "-int8" * int8 + SUFFIXES.get(name, "")


def _number_of_run(directory: Path, run: str | None) -> int | None:
    """The number of the newest SavedModel here that was made from a run."""
    made = (number for number, path in versions(directory).items() if read_card(path).get("run") == run)
    return max(made, default=None) if run else None


def _write(
    model,
    formats: Sequence[Format],
    precision: Precision,
    folder: Path,
    facts: Mapping[str, Any],
    representative: Representative | None,
) -> list[Exported]:
    """Every format in a folder, held against the Keras model."""
    from attention_keras.models.copies import in_float32
    from attention_keras.models.copies import precision as precision_of
    from attention_keras.serving import check
    from attention_keras.serving.saved_model import write_saved_model

    exact = model if (*formats, precision) == (SAVED_MODEL, "trained") else in_float32(model)
    networks = {name: model if (name, precision) == (SAVED_MODEL, "trained") else exact for name in formats}
    images = check.noise(model)
    with check.exact_products():
        answers = {
            network: check.model_answers(network, images, facts["probabilities"])
            for network in {model, *networks.values()}
        }
        # The other formats are made from a SavedModel of float32, which is published if it was asked for.
        saved = {
            network: write_saved_model(network, folder / str(number), **facts)
            for number, network in enumerate(set(networks.values()))
        }
        written = []
        for name, network in networks.items():
            file = saved[network].path
            if name != SAVED_MODEL:
                calibration = representative.calibration if representative else None
                file = write_format(name, saved[network], folder / f"model{SUFFIXES[name]}", calibration)
            rounding = agreement = None
            if representative:
                difference, agreement = _compare_int8(network, file, representative.held_out, facts)
            else:
                wanted = answers[network]
                if name == "onnx":
                    wanted = wanted | check.evidence_answers(network, images)
                difference = check.check_file(name, file, images, precision_of(network), wanted)
            if network is not model:
                rounding = check.largest_difference(answers[network], answers[model])[check.PROBABILITIES]
            size = sum(part.stat().st_size for part in (file, *file.rglob("*")) if part.is_file())
            written.append(Exported(name, file, size, difference, rounding, precision_of(model), agreement))
    return written


def _compare_int8(
    network, file: Path, images: np.ndarray, facts: Mapping[str, Any]
) -> tuple[float, tuple[int, int] | None]:
    """The largest difference of a probability, and how many answers stay; numbers have no such count."""
    from attention_keras.explaining.batches import in_batches
    from attention_keras.serving import check

    found = in_batches(lambda some: check.RUNTIMES["litert"](file, some), images, 10)[check.PROBABILITIES]
    wanted = in_batches(lambda some: check.model_answers(network, some, facts["probabilities"]), images, 10)[
        check.PROBABILITIES
    ]
    activation, thresholds = facts["card"]["activation"], facts["card"]["thresholds"]
    same = same_answers(found, wanted, activation, thresholds or 0.5)
    return float(np.abs(found - wanted).max()), None if activation == "linear" else (same, len(images))


def _publish(written: Sequence[Exported], directory: Path, version: int | None, int8: bool) -> list[Exported]:
    """Everything in its place, under one number."""
    for file in written:
        if file.format == SAVED_MODEL:
            version = publish(file.path, directory, version)
    number = next_number(directory) if version is None else version
    return [
        replace(file, path=directory / str(number))
        if file.format == SAVED_MODEL
        else replace(file, path=publish_file(file.path, directory, number, _suffix(file.format, int8)))
        for file in written
    ]
