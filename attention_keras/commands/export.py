"""`attention-keras export`: from a finished run to files for servers and other runtimes."""

from collections.abc import Sequence
from dataclasses import dataclass

from attention_keras.commands.command_line import import_tensorflow, parse
from attention_keras.runs.options import at_least, check_values, option
from attention_keras.serving.export import SAVED_MODEL, Format, Layout, Precision, Quantize

DESCRIPTION = """Write a finished run as a SavedModel for TensorFlow Serving, or for other runtimes.

Everything that is written is first held against the Keras model. It appears whole, so that a server may watch
the folder. A file that exists is never overwritten."""


@dataclass(frozen=True)
class ExportOptions:
    """What to export, and where to."""

    run: str = option(place="RUN")
    """A finished run directory."""
    to: str = option("saved_models")
    """Folder of all exports: <to>/<run's name>/<version>/."""
    version: int = option(0, default="the highest there is, plus one", rule=at_least(0))
    """Version number. Files without a SavedModel take the number of the SavedModel of the same run."""
    format: tuple[Format, ...] = option((SAVED_MODEL,), default=SAVED_MODEL)
    """One or several: saved_model is <to>/<name>/<version>/; litert <to>/<name>/<name>-<version>.tflite, for
    telephones; onnx .onnx."""
    precision: Precision = option("trained")
    """What the SavedModel computes in: as it was trained, or float32. The other formats are float32."""

    quantize: Quantize = option("none")
    """int8 writes <name>-<version>-int8.tflite, a third as large, and says how many answers stay the same."""
    images: str = option("")
    """Folder of images for int8 like those of the training, where those are gone."""
    layout: Layout = option("plain")
    """triton writes onnx as <to>/<name>/<version>/model.onnx, with config.pbtxt, for the Triton server."""

    __post_init__ = check_values


def main(words: Sequence[str], prog: str) -> int:
    options = parse(ExportOptions, words, description=DESCRIPTION, prog=prog)
    import_tensorflow("export")
    from attention_keras.serving.export import export_run

    given = vars(options) | {"version": options.version or None, "images": options.images or None}
    for written in export_run(given.pop("run"), given.pop("to"), formats=given.pop("format"), **given):
        print(written)
    return 0
