"""From a model or a finished run to a version for servers, and to files for other runtimes beside it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from attention_keras.data.registry import Resize
from attention_keras.errors import UserError, needs
from attention_keras.runs.directory import TEMPERATURE, Run
from attention_keras.serving import versions

Format = Literal["saved_model", "litert", "onnx"]
Precision = Literal["trained", "float32"]
Quantize = Literal["none", "int8"]
Layout = Literal["plain", "triton"]
SAVED_MODEL: Format = "saved_model"
TRITON_FILE = f"version/{versions.TRITON_MODEL}"
SUFFIXES: dict[Format, str] = {"saved_model": "", "litert": ".tflite", "onnx": ".onnx"}


@dataclass(frozen=True)
class Exported:
    """One written format: its file or the SavedModel's directory, and its bytes. `difference` is the largest
    of a probability from the Keras model's in the precision of the file, if its runtime is installed, and
    `rounding` between that precision and the `trained` one; of int8, `agreement` as of `same_answers`."""

    format: Format
    path: Path
    size: int
    difference: float | None
    rounding: float | None
    trained: str
    agreement: tuple[int, int] | None = None

    def __str__(self) -> str:
        said = f"{self.format}: {self.path}, {self.size / 1e6:.1f} MB, "
        if self.agreement is not None:
            said += f"{self.agreement[0]} of {self.agreement[1]} answers are the model's, "
        if self.difference is None:
            said += "not checked, since onnxruntime is not installed"
        else:
            said += f"probabilities differ from the model's by at most {self.difference:.0e}"
        if self.rounding is not None:
            said += f"; float32 in place of {self.trained} changes them by at most {self.rounding:.0e}"
        return said


def export_run(
    run_path: str | Path,
    export_dir: str | Path = "saved_models",
    quantize: Quantize = "none",
    images: str | Path | None = None,
    **options: Any,
) -> list[Exported]:
    """Export the model of a finished run to `<export_dir>/<name>/`, with further `options` of `export_model`.

    Of int8, the ranges are those of the run's own images, or of the `images` in a folder.
    """
    from attention_keras.runs.model_file import load_model

    if images and quantize == "none":
        raise UserError("images are for int8 alone; leave them out")
    run = Run.open(run_path)
    metrics, config, model = run.metrics(), run.config, load_model(run.model)
    card = {
        "name": run.name,
        "run": run.id,
        "dataset": config.dataset,
        **{name: value for name, value in metrics.items() if name.startswith(("test_", "validation_"))},
        "preprocessing": f"inside the model ({config.preprocess}); inputs are raw pixels",
        "config": config.identity(),
    }
    facts = {"class_names": run.class_names(), "temperature": run.temperature, "card": card}
    if quantize == "int8":
        from attention_keras.serving.formats import representative_images

        _check_formats(options.get("formats", (SAVED_MODEL,)), model.inputs[0].shape, int8=True)
        facts["representative"] = representative_images(run, model, images)
    return export_model(
        model, Path(export_dir) / run.name, resize=config.resize_of_others, **facts, **options
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
    representative: tuple[np.ndarray, np.ndarray] | None = None,
    layout: Layout = "plain",
) -> list[Exported]:
    """Write a model in some formats, as docs/serving.md tells, and hold each file against the Keras model.

    Each is written under a temporary name, run on a few noise images, and renamed, so that readers see it
    whole or not at all. Where an answer is not the Keras model's, nothing is exported.

    `model` has outputs `logits` `(b, k)` and `attention_<tap>` `(b, h, w)`, and takes raw pixels. `card` is
    kept with it. The version is by default the highest there is plus one; files without a SavedModel take the
    number of the newest SavedModel with the `run` of the card, where there is one. Logits are divided by
    `temperature`. `resize` says how images of another shape are brought to the model's. With `representative`
    images, for its ranges and to compare on, `litert` is int8.
    """
    from attention_keras.models.classifier import probabilities_of
    from attention_keras.models.copies import in_float32
    from attention_keras.models.copies import precision as precision_of
    from attention_keras.models.parts import prune_dead_branch
    from attention_keras.serving.formats import check_file, convert, rounding
    from attention_keras.serving.saved_model import write_saved_model
    from attention_keras.serving.signatures import ServedClassifier

    directory, triton = Path(directory), layout == "triton"
    _check_formats(formats, model.inputs[0].shape, representative is not None, triton)
    probabilities = probabilities_of(model, temperature)
    classes = model.output["logits"].shape[-1]
    if len(class_names) != classes:
        raise UserError(f"the model has {classes} classes, but there are {len(class_names)} names for them")
    int8 = "" if representative is None else "-int8"
    suffixes = {name: "" if triton else int8 + SUFFIXES[name] for name in formats}
    if "" not in suffixes.values() and version is None and card.get("run"):
        version = versions.version_of_run(directory, card["run"])
    if version is not None:
        versions.refuse_taken(directory, version, suffixes.values())
    meaning = {name: getattr(model, name, None) for name in ("thresholds", "value_range")}
    meaning["activation"] = getattr(model, "activation", "softmax")
    exact = model if (*formats, precision) == (SAVED_MODEL, "trained") else in_float32(model)
    calibration, held_out = representative or (None, None)
    saved = {}

    def save(network, path: Path) -> tuple[Path, ServedClassifier]:
        pruned = prune_dead_branch(network)
        served = ServedClassifier(pruned, class_names, probabilities, resize, **meaning)
        about = {"precision": precision_of(network), "parameters": pruned.count_params()}
        write_saved_model(served, path, {**card, TEMPERATURE: temperature, **meaning, **about})
        return path, served

    def write(name: Format, folder: Path) -> Exported:
        """A format in a folder, held against the Keras model."""
        network = model if (name, precision) == (SAVED_MODEL, "trained") else exact
        # The other formats are made from a SavedModel of float32, which is published if it was asked for.
        if network not in saved:
            saved[network] = save(network, folder / str(len(saved)))
        file, served = saved[network]
        if name != SAVED_MODEL:
            saved_model, file = file, folder / (TRITON_FILE if triton else f"model{SUFFIXES[name]}")
            file.parent.mkdir(exist_ok=True)
            convert(name, served, saved_model, file, calibration)
        difference, agreement = check_file(name, file, network, probabilities, held_out)
        rounded = None if network is model else rounding(network, model, probabilities)
        size = sum(part.stat().st_size for part in (file, *file.rglob("*")) if part.is_file())
        return Exported(name, file, size, difference, rounded, precision_of(model), agreement)

    with versions.unfinished_version(directory) as folder:
        written = [write(name, folder) for name in dict.fromkeys(formats)]
        files = {suffixes[one.format]: one.path.parent if triton else one.path for one in written}
        if triton:
            versions.write_triton_config(directory)
        places = versions.publish(files, directory, version)
        ending = versions.TRITON_MODEL if triton else ""
        return [replace(one, path=places[suffixes[one.format]] / ending) for one in written]


def _check_formats(
    formats: Sequence[str], shape: Sequence[int | None], int8: bool, triton: bool = False
) -> None:
    """Say now what would fail after minutes: a wrong format, or a missing package."""
    given = ", ".join(formats)
    if not formats or set(formats) - set(SUFFIXES):
        raise UserError(f"formats must be some of {', '.join(SUFFIXES)}; got {given or 'none'}")
    for asked, option, only in ((int8, "int8", "litert"), (triton, "triton", "onnx")):
        if asked and set(formats) != {only}:
            raise UserError(f"{option} is for the format {only} alone; got {given}")
    if "litert" in formats and None in shape[1:]:  # it gets the shapes of their maps wrong
        raise UserError("litert needs images of one size, and this network takes any; give its input a size")
    if "onnx" in formats:
        with needs("the format onnx", extra="formats"):
            import onnx  # noqa: F401
            import tf2onnx  # noqa: F401
