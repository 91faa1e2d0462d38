"""From a model or a finished run to a version for servers, and to files for other runtimes beside it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from attention_keras.data.geometry import PictureFormat, Resize
from attention_keras.data.images import model_channels
from attention_keras.errors import UserError, needs
from attention_keras.runs.directory import TEMPERATURE, Run
from attention_keras.serving import litert, versions

Format = Literal["saved_model", "litert", "onnx"]
Precision = Literal["trained", "float32"]
Quantize = Literal["none", "int8"]
Layout = Literal["plain", "triton"]
SAVED_MODEL: Format = "saved_model"
SUFFIXES: dict[Format, str] = {"saved_model": "", "litert": ".tflite", "onnx": ".onnx"}


@dataclass(frozen=True)
class Exported:
    """One written format: its file or the SavedModel's directory, and the bytes of it.

    `difference` is the largest of a probability from the Keras model's in the precision of the file; None
    without the runtime to check it with. `rounding` is the largest between that precision and the `trained`
    one, where they differ. Of int8, `agreement` says how many answers are the Keras model's, and of how many.
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
    metrics, config = run.metrics(), run.config
    model, representative = load_model(run.model), None
    if quantize == "int8":
        *size, channels = model.inputs[0].shape[1:]
        litert.refuse_any_size(size)
        values = getattr(model, "value_range", None)
        to = PictureFormat(tuple(size), config.resize_of_others, values, model_channels(channels))
        representative = litert.images_of_folder(images, to) if images else litert.images_of_run(config)
    card = {
        "name": run.name,
        "run": run.id,
        "dataset": config.dataset,
        **{name: value for name, value in metrics.items() if name.startswith(("test_", "validation_"))},
        "preprocessing": f"inside the model ({config.preprocess}); inputs are raw pixels",
        "config": config.identity(),
    }
    facts = {"class_names": run.class_names(), "temperature": run.temperature, "card": card}
    facts |= {"resize": config.resize_of_others, "representative": representative}
    return export_model(model, Path(export_dir) / run.name, **facts, **options)


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
    representative: litert.Representative | None = None,
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
    from attention_keras.models.classifier import probabilities_of
    from attention_keras.models.copies import precision as precision_of
    from attention_keras.models.parts import prune_dead_branch
    from attention_keras.serving.saved_model import write_saved_model
    from attention_keras.serving.signatures import ServedClassifier

    directory, triton, int8 = Path(directory), layout == "triton", representative is not None
    _check_formats(formats, int8, triton)
    probabilities = probabilities_of(model, temperature)
    classes = model.output["logits"].shape[-1]
    if len(class_names) != classes:
        raise UserError(f"the model has {classes} classes, but there are {len(class_names)} names for them")
    suffixes = {name: "" if triton else "-int8" * int8 + SUFFIXES[name] for name in formats}
    if "" in suffixes.values():
        versions.refuse_mixed(directory, triton)
    elif version is None and card.get("run"):
        version = versions.version_of_run(directory, card["run"])
    for suffix in suffixes.values() if version is not None else ():
        versions.refuse_taken(directory, version, suffix)
    meaning = {"activation": "softmax", "thresholds": None, "value_range": None}
    meaning = {name: getattr(model, name, usual) for name, usual in meaning.items()}

    def write_version(network, path: Path) -> ServedClassifier:
        pruned = prune_dead_branch(network)
        served = ServedClassifier(pruned, class_names, probabilities, resize, **meaning)
        about = {"precision": precision_of(network), "parameters": pruned.count_params()}
        write_saved_model(served, path, {**card, TEMPERATURE: temperature, **meaning, **about})
        return served

    with versions.unfinished_version(directory) as folder:
        written = _write(model, formats, precision, folder, write_version, representative)
        files = {suffixes[one.format]: one.path for one in written}
        if triton:
            from attention_keras.serving.onnx_file import triton_version

            files[""] = triton_version(files[""], directory)
        places = versions.publish(files, directory, version)
        ending = "model.onnx" if triton else ""
        return [replace(one, path=places[suffixes[one.format]] / ending) for one in written]


def _write(
    model,
    formats: Sequence[Format],
    precision: Precision,
    folder: Path,
    write_version: Callable,
    representative: litert.Representative | None,
) -> list[Exported]:
    """Every format in a folder, held against the Keras model."""
    from attention_keras.models.copies import in_float32
    from attention_keras.models.copies import precision as precision_of
    from attention_keras.serving import check

    exact = model if (*formats, precision) == (SAVED_MODEL, "trained") else in_float32(model)
    saved, written = {}, []
    for name in dict.fromkeys(formats):
        network = model if (name, precision) == (SAVED_MODEL, "trained") else exact
        # The other formats are made from a SavedModel of float32, which is published if it was asked for.
        if network not in saved:
            path = folder / str(len(saved))
            saved[network] = path, write_version(network, path)
        file, served = saved[network]
        if name != SAVED_MODEL:
            calibration = representative.calibration if representative else None
            file = _convert(name, file, served, folder / f"model{SUFFIXES[name]}", calibration)
        held_out = representative.held_out if representative else None
        difference, agreement = check.check_file(name, file, network, served.probabilities, held_out)
        rounding = None if network is model else check.rounding(network, model, served.probabilities)
        size = sum(part.stat().st_size for part in (file, *file.rglob("*")) if part.is_file())
        written.append(Exported(name, file, size, difference, rounding, precision_of(model), agreement))
    return written


def _convert(name: Format, saved_model: Path, served, file: Path, calibration) -> Path:
    try:
        if name == "litert":
            litert.write_litert(served, saved_model, file, calibration)
        else:
            from attention_keras.serving.onnx_file import write_onnx

            write_onnx(served, file)
    except (OSError, UserError):
        raise
    # Converters document no set of errors; whatever they raise, the network is the cause.
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise UserError(f"this network cannot be written as {name}: {reason[:200]}") from error
    return file


def _check_formats(formats: Sequence[str], int8: bool = False, triton: bool = False) -> None:
    """Say now what would fail after minutes: a wrong format, or a missing package."""
    given = ", ".join(formats)
    if not formats or set(formats) - set(SUFFIXES):
        raise UserError(f"formats must be some of {', '.join(SUFFIXES)}; got {given or 'none'}")
    for asked, option, only in ((int8, "int8", "litert"), (triton, "triton", "onnx")):
        if asked and set(formats) != {only}:
            raise UserError(f"{option} is for the format {only} alone; got {given}")
    if "onnx" in formats:
        with needs("the format onnx", extra="formats"):
            import onnx  # noqa: F401
            import tf2onnx  # noqa: F401
