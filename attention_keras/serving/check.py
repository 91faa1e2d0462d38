"""Is a written file the model? Each format is run by its own runtime and held against the Keras model."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from attention_keras.errors import UserError
from attention_keras.models.evidence import evidence_model, has_evidence
from attention_keras.models.outputs import ATTENTION, LOGITS
from attention_keras.serving.formats import Format
from attention_keras.serving.signatures import evidence_at_size, evidence_outputs
from attention_keras.serving.warmup import SIDE

Answers = dict[str, np.ndarray]
PROBABILITIES = "probabilities"
FOLLOWING = ("tags", "number")
"""Outputs that are made of the probabilities."""
IMAGES = 4
TOLERANCE = 2e-3
TOLERANCE_LOW = 5e-2  # where the network rounds to eight bits


def noise(model: keras.Model) -> np.ndarray:
    """A few seeded images, uint8 `(4, H, W, c)`, of growing contrast. A free side is 224."""
    shape = (IMAGES, *(side or SIDE for side in model.inputs[0].shape[1:]))
    contrast = np.linspace(0.25, 1, IMAGES).reshape(-1, 1, 1, 1)
    return (np.random.default_rng(0).uniform(0, 256, shape) * contrast).astype("uint8")


@contextlib.contextmanager
def exact_products() -> Iterator[None]:
    """Float32 is float32 inside: GPUs otherwise round the factors of products to eleven bits."""
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


def model_answers(model: keras.Model, images: np.ndarray, probabilities: Callable) -> Answers:
    """What the Keras model says: `probabilities` `(b, k)` and `attention_<tap>` `(b, h, w)`."""
    # Not by `predict`, which Keras compiles with XLA on a GPU, and on some that aborts.
    outputs = model(images.astype("float32"), training=False)
    outputs = {name: keras.ops.convert_to_numpy(value) for name, value in outputs.items()}
    maps = {name: value for name, value in outputs.items() if name.startswith(ATTENTION)}
    return {
        PROBABILITIES: keras.ops.convert_to_numpy(probabilities(outputs[LOGITS].astype("float32"))),
        **maps,
    }


def evidence_answers(model: keras.Model, images: np.ndarray) -> Answers:
    """Evidence at image size for the predicted class; none where the network has none."""
    if not has_evidence(model):
        return {}
    outputs = evidence_model(model, "predicted")(images.astype("float32"), training=False)
    found = evidence_at_size(evidence_outputs(outputs), images.shape[1:3])
    return {name: keras.ops.convert_to_numpy(value) for name, value in found.items()}


def _saved_model(file: Path, images: np.ndarray) -> Answers:
    signature = tf.saved_model.load(str(file)).signatures["serving_default"]
    return {name: value.numpy() for name, value in signature(images=images).items()}


def _litert(file: Path, images: np.ndarray) -> Answers:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ModuleNotFoundError:
        Interpreter = tf.lite.Interpreter
    return Interpreter(model_path=str(file)).get_signature_runner("serving_default")(images=images)


def _onnx(file: Path, images: np.ndarray) -> Answers | None:
    try:
        import onnxruntime
    except ModuleNotFoundError:
        return None
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"images": images})))


RUNTIMES: dict[str, Callable[[Path, np.ndarray], Answers | None]] = {
    "saved_model": _saved_model,
    "litert": _litert,
    "onnx": _onnx,
}
"""Format -> (file, images) -> outputs by name; None where the runtime is not installed."""


def largest_difference(found: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Output -> largest difference. A number that is NaN in both does not differ."""
    shapes = [{name: value.shape for name, value in answers.items()} for answers in (found, wanted)]
    if shapes[0] != shapes[1]:
        raise UserError(f"the file answers with {shapes[0]}, the model with {shapes[1]}")
    return {
        name: float(np.abs(np.nan_to_num(found[name], nan=-1.0) - np.nan_to_num(value, nan=-1.0)).max())
        for name, value in wanted.items()
    }


def check_file(name: Format, file: Path, images: np.ndarray, precision: str, wanted: Answers) -> float | None:
    """The largest difference of a probability from the Keras model's; None without the runtime.

    An output that differs by more than 2e-3, or 5e-2 in a model of low precision, raises UserError; where
    numbers are larger than 1, by more than that share of the largest.
    """
    found = RUNTIMES[name](file, images)
    if found is None:
        return None
    found = {output: value for output, value in found.items() if output not in FOLLOWING}
    tolerance = TOLERANCE if precision == "float32" else TOLERANCE_LOW
    differences = largest_difference(found, wanted)
    for output, difference in differences.items():
        allowed = tolerance * max(1.0, float(np.nan_to_num(np.abs(wanted[output])).max()))
        if not difference <= allowed:
            raise UserError(
                f"the {name} file's {output} differs from the model's by {difference:.0e}, more than "
                f"{allowed:.0e}; nothing was exported"
            )
    return differences[PROBABILITIES]
