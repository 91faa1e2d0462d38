"""How a SavedModel in float32 becomes a LiteRT or an ONNX file."""

import logging
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from attention_keras.errors import UserError
from attention_keras.extras import needs

Format = Literal["saved_model", "litert", "onnx"]
Precision = Literal["trained", "float32"]
Quantize = Literal["none", "int8"]
Layout = Literal["plain", "triton"]
SAVED_MODEL: Format = "saved_model"
SUFFIXES: dict[Format, str] = {"litert": ".tflite", "onnx": ".onnx"}
OPSET = 17  # of ONNX
_TEXT = ("serve_bytes", "describe")  # with strings, which LiteRT has in TensorFlow's operations only


def check_formats(formats: Sequence[str], quantize: Quantize = "none", layout: Layout = "plain") -> None:
    """Say now what would fail after minutes: an unknown format, one named twice, a missing package.

    `quantize` is for litert alone, and the `layout` of Triton for onnx alone.

    Example:
        >>> check_formats(["litert", "litert"])
        Traceback (most recent call last):
        attention_keras.errors.UserError: the format litert is named twice
    """
    allowed = get_args(Format)
    if not formats:
        raise UserError(f"name at least one format: {', '.join(allowed)}")
    for name in formats:
        if name not in allowed:
            raise UserError(f"format must be one of {', '.join(allowed)}; got {name!r}")
        if list(formats).count(name) > 1:
            raise UserError(f"the format {name} is named twice")
    for asked, only, wanted in ((quantize, "litert", "int8"), (layout, "onnx", "triton")):
        if asked == wanted and list(formats) != [only]:
            raise UserError(f"{wanted} is for the format {only} alone; got {', '.join(formats)}")
    if "onnx" in formats:
        with needs("the format onnx", extra="formats"):
            import onnx  # noqa: F401
            import tf2onnx  # noqa: F401


def refuse_any_size(image_shape: Sequence[int | None]) -> None:
    """LiteRT gets the shapes of maps wrong that depend on the size of the images."""
    if None in image_shape:
        raise UserError("litert needs images of one size, and this network takes any; give its input a size")


def write_format(name: Format, network: Any, file: Path, calibration: np.ndarray | None = None) -> Path:
    """Write a `SavedNetwork` in float32 as LiteRT or ONNX, and return the file.

    LiteRT has the signatures of the SavedModel that take images. With images for its `calibration`, uint8
    (n, H, W, c), it computes in int8, and has no maps of evidence, which are exact in float32 only. ONNX has
    one signature: `images` uint8 (b, H, W, c) to the outputs of `serving_default`, and evidence as `explain`.
    """
    if name == "litert":
        refuse_any_size(network.served.image_shape)
    try:
        if calibration is None:
            _WRITERS[name](network, file)
        else:
            _write_int8(network, file, calibration)
    except OSError:
        raise
    # Converters document no set of errors; whatever they raise, the network is the cause.
    except Exception as error:
        said = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = said[0] if said else type(error).__name__
        raise UserError(f"this network cannot be written as {name}: {reason[:200]}") from error
    return file


def _write_litert(network: Any, file: Path) -> None:
    import tensorflow as tf

    keys = [name for name in network.signatures if name not in _TEXT]
    converter = tf.lite.TFLiteConverter.from_saved_model(str(network.path), signature_keys=keys)
    file.write_bytes(converter.convert())


def _write_int8(network: Any, file: Path, calibration: np.ndarray) -> None:
    """Weights and activations of eight bits; images stay uint8, and answers float32."""
    import tensorflow as tf

    keys = ["serving_default", "classify"]
    converter = tf.lite.TFLiteConverter.from_saved_model(str(network.path), signature_keys=keys)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: (
        (key, {"images": image[None]}) for key in keys for image in calibration
    )
    with warnings.catch_warnings():  # TensorFlow warns of its own interpreter, with which it calibrates
        warnings.simplefilter("ignore", UserWarning)
        file.write_bytes(converter.convert())


def _write_onnx(network: Any, file: Path) -> None:
    import onnx
    import tensorflow as tf
    import tf2onnx

    for name in ("tensorflow", "tf2onnx"):  # remarks on what tf2onnx calls of TensorFlow, 14 lines
        logging.getLogger(name).setLevel(logging.ERROR)
    [images] = network.signatures["serving_default"].structured_input_signature[0]
    served, module = network.served, tf.Module()
    module.weights = served.weights
    signature = tf.function(served.serve_with_evidence).get_concrete_function(images)
    shapes = {images.name: images.shape} | {k: v.shape for k, v in signature.structured_outputs.items()}
    # Not from_function or from_keras: they make inputs of constants, such as a Normalization's.
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures=signature)
        graph, inputs, outputs, names = tf2onnx.tf_loader.from_saved_model(
            folder, None, None, ["serve"], ["serving_default"], return_tensors_to_rename=True
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


_WRITERS: dict[str, Callable[[Any, Path], None]] = {"litert": _write_litert, "onnx": _write_onnx}
