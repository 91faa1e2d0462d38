"""The formats of an export, and how a SavedModel in float32 becomes a LiteRT, ONNX or OpenVINO file."""

import contextlib
import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from attention_keras.errors import UserError
from attention_keras.extras import needs
from attention_keras.serving.quiet import held_back_stderr

Format = Literal["saved_model", "litert", "onnx", "openvino"]
Precision = Literal["trained", "float32"]
SAVED_MODEL: Format = "saved_model"
FORMATS: tuple[Format, ...] = get_args(Format)
# The last one is the file that a runtime is told; the empty one stands for the version's directory.
SUFFIXES: dict[Format, tuple[str, ...]] = {
    SAVED_MODEL: ("",),
    "litert": (".tflite",),
    "onnx": (".onnx",),
    "openvino": (".bin", ".xml"),
}
EXTRA = "formats"
OPSET = 17  # of ONNX
_BYTES = "serve_bytes"  # pictures are decoded by TensorFlow only


@dataclass(frozen=True)
class SavedNetwork:
    """A network with its signatures, and the SavedModel of it. Other formats are made from one in float32.

    Attributes:
        served: a `ServedClassifier`.
        path: of its SavedModel.
        signatures: concrete functions by signature name.
    """

    served: Any
    path: Path
    signatures: dict[str, Any]


def check_formats(formats: Sequence[str]) -> None:
    """Say now what would fail after minutes.

    Raises:
        UserError: there is no such format, it is named twice, or the package that writes it is missing.

    Example:
        >>> check_formats(["litert", "litert"])
        Traceback (most recent call last):
        attention_keras.errors.UserError: the format litert is named twice
    """
    if not formats:
        raise UserError(f"name at least one format: {', '.join(FORMATS)}")
    for name in formats:
        if name not in FORMATS:
            raise UserError(f"format must be one of {', '.join(FORMATS)}; got {name!r}")
        if list(formats).count(name) > 1:
            raise UserError(f"the format {name} is named twice")
        with needs(f"the format {name}", extra=EXTRA):
            if name == "onnx":
                import onnx  # noqa: F401
                import tf2onnx  # noqa: F401
            elif name == "openvino":
                import_openvino()


def write_format(name: Format, network: SavedNetwork, stem: Path) -> dict[str, Path]:
    """Write one format.

    | format | inputs | outputs |
    |---|---|---|
    | `litert` | those of every signature but `serve_bytes`; it is called by the signature's name | theirs |
    | `onnx`, `openvino` | `images` uint8 (b, H, W, 3) | `probabilities` (b, k), `attention_<tap>` (b, h, w) |

    LiteRT gets the shapes of maps wrong that depend on the size of the images, so that needs to be known.

    Args:
        name: any but `saved_model`.
        network: in float32.
        stem: path of the files without their suffixes.

    Returns:
        Suffix -> file; the last is the one that a runtime is told.

    Raises:
        UserError: the network has what the format, or its converter, has not.
        OSError: the file cannot be written.
    """
    if name == "litert" and None in network.served.image_shape:
        raise UserError("litert needs images of one size, and this network takes any; give its input a size")
    files = {suffix: stem.with_name(stem.name + suffix) for suffix in SUFFIXES[name]}
    try:
        with quiet():
            _WRITERS[name](network, list(files.values())[-1])
    except OSError:
        raise
    # Converters document no set of errors; whatever they raise, the network is the cause.
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = lines[0] if lines else type(error).__name__
        raise UserError(f"this network cannot be written as {name}: {reason[:200]}") from error
    return files


def _write_litert(network: SavedNetwork, file: Path) -> None:
    import tensorflow as tf

    keys = [name for name in network.signatures if name != _BYTES]
    converter = tf.lite.TFLiteConverter.from_saved_model(str(network.path), signature_keys=keys)
    file.write_bytes(converter.convert())


def _write_onnx(network: SavedNetwork, file: Path) -> None:
    import onnx
    import tf2onnx

    signature = network.signatures["serving_default"]
    images = signature.structured_input_signature[0][0]
    shapes = {images.name: images.shape} | {k: v.shape for k, v in signature.structured_outputs.items()}
    # Not from_function or from_keras: they make inputs of constants, such as a Normalization's.
    graph, inputs, outputs, names = tf2onnx.tf_loader.from_saved_model(
        str(network.path), None, None, ["serve"], ["serving_default"], return_tensors_to_rename=True
    )
    proto, _ = tf2onnx.convert.from_graph_def(
        graph, input_names=inputs, output_names=outputs, tensors_to_rename=names, opset=OPSET
    )
    for value in (*proto.graph.input, *proto.graph.output):
        _name_axes(value.type.tensor_type.shape, shapes[value.name])
    onnx.checker.check_model(proto, full_check=True)  # tf2onnx goes on where it does not know an operation
    file.write_bytes(proto.SerializeToString())


def _name_axes(axes, shape) -> None:
    """Write the lengths that are known into an ONNX shape, and call the free first one `batch`."""
    for index, (axis, length) in enumerate(zip(axes.dim, shape)):
        if length is not None:
            axis.dim_value = length
        elif index == 0:
            axis.dim_param = "batch"


def _write_openvino(network: SavedNetwork, file: Path) -> None:
    openvino = import_openvino()
    model = openvino.convert_model(network.path)
    openvino.save_model(model, file, compress_to_fp16=False)


_WRITERS: dict[str, Callable[[SavedNetwork, Path], None]] = {
    "litert": _write_litert,
    "onnx": _write_onnx,
    "openvino": _write_openvino,
}


def import_openvino():
    """OpenVINO, without the package by which it reports its use to its makers.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # as if it were not there
    import openvino

    return openvino


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Converters and runtimes without their remarks. What they raise says the same in one line."""
    logger = logging.getLogger("tf2onnx")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), held_back_stderr(show_on=()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
