"""Is a written file the model? Each format is run by its own runtime and held against the Keras model."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from attention_keras.errors import UserError
from attention_keras.explaining.explain import in_batches
from attention_keras.models.copies import precision
from attention_keras.models.evidence import evidence_model, has_evidence
from attention_keras.models.outputs import ATTENTION, LOGITS, PROBABILITIES
from attention_keras.serving.saved_model import SIDE
from attention_keras.serving.signatures import evidence_at_size

Answers = dict[str, np.ndarray]
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


def model_answers(
    model: keras.Model, images: np.ndarray, probabilities: Callable, evidence: bool = False
) -> Answers:
    """What the Keras model says: `probabilities` `(b, k)` and `attention_<tap>` `(b, h, w)`.

    With `evidence` of the predicted class at image size too, where the network has it.
    """
    evidence = evidence and has_evidence(model)
    # Not by `predict`, which Keras compiles with XLA on a GPU, and on some that aborts.
    outputs = (evidence_model(model, "predicted") if evidence else model)(images.astype("float32"))
    answers = {name: value for name, value in outputs.items() if name.startswith(ATTENTION)}
    answers |= evidence_at_size(outputs, images.shape[1:3]) if evidence else {}
    answers[PROBABILITIES] = probabilities(keras.ops.cast(outputs[LOGITS], "float32"))
    return {name: keras.ops.convert_to_numpy(value) for name, value in answers.items()}


def run_file(name: str, file: Path, images: np.ndarray) -> Answers:
    """Outputs by name, from the runtime of a format; ModuleNotFoundError where it is not installed."""
    if name == "saved_model":
        signature = tf.saved_model.load(str(file)).signatures["serving_default"]
        return {output: value.numpy() for output, value in signature(images=images).items()}
    if name == "litert":
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ModuleNotFoundError:
            Interpreter = tf.lite.Interpreter
        return Interpreter(model_path=str(file)).get_signature_runner("serving_default")(images=images)
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    outputs = [output.name for output in session.get_outputs()]
    return dict(zip(outputs, session.run(None, {"images": images})))


@exact_products()
def check_file(
    name: str, file: Path, model: keras.Model, probabilities: Callable, held_out: np.ndarray | None = None
) -> tuple[float | None, tuple[int, int] | None]:
    """The largest difference of a probability from the Keras model's; None without the runtime.

    On noise, an output that differs by more than 2e-3, or 5e-2 in a model of low precision, raises UserError;
    where numbers are larger than 1, by more than that share of the largest. On images that were `held_out`
    for int8, how many answers are the model's, and of how many, comes with it.
    """
    images = noise(model) if held_out is None else held_out

    def both(some: np.ndarray) -> list[Answers]:
        wanted = model_answers(model, some, probabilities, evidence=name == "onnx")
        found = {o: value for o, value in run_file(name, file, some).items() if o not in FOLLOWING}
        shapes = [{output: value.shape for output, value in answers.items()} for answers in (found, wanted)]
        if shapes[0] != shapes[1]:
            raise UserError(f"the file answers with {shapes[0]}, the model with {shapes[1]}")
        # A number that is NaN in both, as in a network that diverged, does not differ.
        return [{o: np.nan_to_num(v, nan=-1.0) for o, v in answers.items()} for answers in (found, wanted)]

    try:
        found, wanted = in_batches(both, images, 10)
    except ModuleNotFoundError:
        return None, None
    differences = {output: float(np.abs(found[output] - value).max()) for output, value in wanted.items()}
    if held_out is not None:
        same = same_answers(found[PROBABILITIES], wanted[PROBABILITIES], model)
        return differences[PROBABILITIES], same
    tolerance = TOLERANCE if precision(model) == "float32" else TOLERANCE_LOW
    for output, difference in differences.items():
        allowed = tolerance * max(1.0, float(np.abs(wanted[output]).max()))
        if not difference <= allowed:
            raise UserError(
                f"the {name} file's {output} differs from the model's by {difference:.0e}, more than "
                f"{allowed:.0e}; nothing was exported"
            )
    return differences[PROBABILITIES], None


def same_answers(found: np.ndarray, wanted: np.ndarray, model: keras.Model) -> tuple[int, int] | None:
    """Of probabilities `(n, k)`, the images whose class, or all of whose tags, are those that are wanted.

    Numbers have no such count.
    """
    activation, thresholds = getattr(model, "activation", "softmax"), getattr(model, "thresholds", None)
    if activation == "linear":
        return None
    same = found.argmax(axis=1) == wanted.argmax(axis=1)
    if activation == "sigmoid":
        same = ((found >= (thresholds or 0.5)) == (wanted >= (thresholds or 0.5))).all(axis=1)
    return int(same.sum()), len(found)


@exact_products()
def rounding(network: keras.Model, model: keras.Model, probabilities: Callable) -> float:
    """The largest difference of a probability between a network in two precisions."""
    images = noise(model)
    found, wanted = (model_answers(one, images, probabilities)[PROBABILITIES] for one in (network, model))
    return float(np.abs(found - wanted).max())
