"""How a served network becomes an ONNX file, and that a version of Triton's model repository."""

import logging
import tempfile
from pathlib import Path

import onnx
import tensorflow as tf
import tf2onnx

from attention_keras.errors import UserError
from attention_keras.runs.durable import write_whole
from attention_keras.serving.signatures import ServedClassifier
from attention_keras.serving.versions import TRITON_CONFIG

OPSET = 17
BATCH = 32
_TYPES = {"FLOAT": "FP32", "DOUBLE": "FP64"}  # of Triton; others are called the same


def write_onnx(served: ServedClassifier, file: Path) -> None:
    """`images` uint8 (b, H, W, c) to the outputs of `serving_default`, and evidence as `explain` has it."""
    for name in ("tensorflow", "tf2onnx"):  # remarks on what tf2onnx calls of TensorFlow, 14 lines
        logging.getLogger(name).setLevel(logging.ERROR)
    module = tf.Module()
    module.weights = served.weights
    signature = tf.function(served.serve_with_evidence).get_concrete_function(served.images)
    # Not from_function or from_keras: they make inputs of constants, such as a Normalization's.
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures=signature)
        graph, inputs, outputs, names = tf2onnx.tf_loader.from_saved_model(
            folder, None, None, ["serve"], ["serving_default"], return_tensors_to_rename=True
        )
    proto, _ = tf2onnx.convert.from_graph_def(
        graph, input_names=inputs, output_names=outputs, tensors_to_rename=names, opset=OPSET
    )
    shapes = {"images": served.images.shape}
    shapes |= {name: output.shape for name, output in signature.structured_outputs.items()}
    for value in (*proto.graph.input, *proto.graph.output):
        axes = value.type.tensor_type.shape.dim
        for axis, length in zip(axes, shapes[value.name]):
            if length is not None:
                axis.dim_value = length
        axes[0].dim_param = "batch"
    onnx.checker.check_model(proto, full_check=True)  # tf2onnx goes on where it does not know an operation
    file.write_bytes(proto.SerializeToString())


def triton_version(file: Path, directory: Path) -> Path:
    """A folder with an ONNX file, to be published as a version; `config.pbtxt` is for all versions.

    A `config.pbtxt` that is there stays, with what its reader added. Raises UserError where it has other
    inputs or outputs.
    """
    blocks, config = _tensors(file), directory / TRITON_CONFIG
    if not config.exists():
        head = f'name: "{directory.resolve().name}"\nbackend: "onnxruntime"\nmax_batch_size: {BATCH}\n'
        write_whole(config, (head + "dynamic_batching { }\n" + "".join(blocks)).encode())
    elif not all(block in config.read_text(encoding="utf-8") for block in blocks):
        raise UserError(f"{config} has other inputs or outputs than this network; choose another folder")
    folder = file.parent / "version"
    folder.mkdir()
    file.rename(folder / "model.onnx")
    return folder


def _tensors(file: Path) -> list[str]:
    """A block for each input and output. The batch is no part of `dims`, which may not be empty."""
    graph, blocks = onnx.load(file).graph, []
    for kind, values in (("input", graph.input), ("output", graph.output)):
        for value in values:
            tensor = value.type.tensor_type
            name = onnx.TensorProto.DataType.Name(tensor.elem_type)
            sides = [str(axis.dim_value or -1) for axis in tensor.shape.dim[1:]]
            reshape = "" if sides else "  reshape { shape: [ ] }\n"
            blocks.append(
                f'{kind} {{\n  name: "{value.name}"\n  data_type: TYPE_{_TYPES.get(name, name)}\n'
                f"  dims: [ {', '.join(sides or '1')} ]\n{reshape}}}\n"
            )
    return blocks
