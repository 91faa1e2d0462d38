"""A model repository of Triton: `<name>/<version>/model.onnx`, and `config.pbtxt` for all versions."""

from pathlib import Path

from attention_keras.errors import UserError
from attention_keras.runs.durable import write_whole
from attention_keras.serving.versions import publish, versions

CONFIG = "config.pbtxt"
BATCH = 32
_TYPES = {"FLOAT": "FP32", "DOUBLE": "FP64"}  # others are called the same


def refuse_mixed(directory: Path, triton: bool) -> None:
    """A server of one kind fails at the versions of another; raise UserError where there are some."""
    if not triton and (directory / CONFIG).exists():
        raise UserError(
            f"{directory} is a folder of Triton, which reads no SavedModel; choose another folder"
        )
    if triton and any((path / "saved_model.pb").exists() for path in versions(directory).values()):
        raise UserError(f"{directory} has SavedModels, which Triton does not read; choose another folder")


def publish_for_triton(file: Path, directory: Path, version: int | None) -> Path:
    """Put an ONNX file in as a version, by default the next one, and return its path.

    A `config.pbtxt` that is there stays, with what its reader added. Raises UserError where it has other
    inputs or outputs.
    """
    blocks, config = _tensors(file), directory / CONFIG
    if not config.exists():
        head = f'name: "{directory.resolve().name}"\nbackend: "onnxruntime"\nmax_batch_size: {BATCH}\n'
        write_whole(config, (head + "dynamic_batching { }\n" + "".join(blocks)).encode())
    elif not all(block in config.read_text(encoding="utf-8") for block in blocks):
        raise UserError(f"{config} has other inputs or outputs than this network; choose another folder")
    folder = file.parent / "version"
    folder.mkdir()
    file.rename(folder / "model.onnx")
    return directory / str(publish(folder, directory, version)) / "model.onnx"


def _tensors(file: Path) -> list[str]:
    """A block for each input and output. The batch is no part of `dims`, which may not be empty."""
    import onnx

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
