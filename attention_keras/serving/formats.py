"""Files for other runtimes, and whether a file is the model: what its runtime says beside the Keras model."""

import contextlib
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from attention_keras.data.datasets import load_dataset
from attention_keras.data.files import find_images
from attention_keras.data.image_files import UnreadableImage
from attention_keras.data.images import PictureFormat, model_channels, read_image
from attention_keras.errors import UserError
from attention_keras.explaining.explain import in_batches
from attention_keras.models.copies import precision
from attention_keras.models.evidence import evidence_model, has_evidence
from attention_keras.models.outputs import ATTENTION, LOGITS, PROBABILITIES
from attention_keras.runs.directory import Run
from attention_keras.serving.saved_model import SIDE
from attention_keras.serving.signatures import FOLLOWING, ServedClassifier, evidence_at_size

OPSET = 17
CALIBRATION, HELD_OUT = 100, 200
"""Images for the ranges of int8, and to compare its answers on."""
IMAGES = 4
TOLERANCE = {True: 2e-3, False: 5e-2}  # of float32, and of a network that rounds to eight bits
Answers = dict[str, np.ndarray]


def convert(
    name: str, served: ServedClassifier, saved_model: Path, file: Path, calibration: np.ndarray | None
) -> None:
    """Write the SavedModel of a network in float32 as `litert` or `onnx`."""
    try:
        if name == "litert":
            write_litert(served, saved_model, file, calibration)
        else:
            write_onnx(served, file)
    except OSError:
        raise
    except Exception as error:  # converters document no set of errors; the network is the cause
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise UserError(f"this network cannot be written as {name}: {reason[:200]}") from error


def write_litert(
    served: ServedClassifier, saved_model: Path, file: Path, calibration: np.ndarray | None
) -> None:
    """The signatures that take images. With some for its `calibration`, uint8 `(n, H, W, c)`, weights and
    activations have eight bits, and there are no maps of evidence, which are exact in float32 only."""
    keys = ["serving_default", "classify"]
    if calibration is None:
        keys += ["explain", *["explain_class"] * served.has_evidence]
    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model), signature_keys=keys)
    if calibration is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: (
            (key, {"images": image[None]}) for key in keys for image in calibration
        )
    with warnings.catch_warnings():  # TensorFlow warns of its own interpreter, with which it calibrates
        warnings.simplefilter("ignore", UserWarning)
        file.write_bytes(converter.convert())


def representative_images(run: Run, model, folder: str | Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Images as the network will see them, uint8 `(n, H, W, c)`, for the ranges of int8, and to compare on:
    training and validation images of the run, or a third of those in a folder and the others."""

    def some_of(count: int, most: int) -> np.ndarray:
        return np.random.default_rng(0).permutation(count)[:most]

    config = run.config
    if not folder:
        place = {"data_dir": config.data_dir or None}
        dataset = load_dataset(config.dataset, seed=config.seed, **place, **config.for_loading())
        train, validation = dataset.train.images, dataset.validation.images
        ranges = np.asarray(train[some_of(len(train), CALIBRATION)])
        return ranges, np.asarray(validation[some_of(len(validation), HELD_OUT)])
    (*size, channels), values = model.inputs[0].shape[1:], getattr(model, "value_range", None)
    to = PictureFormat(tuple(size), config.resize_of_others, values, model_channels(channels))
    files, read = find_images([str(folder)])[0], []
    for row in some_of(len(files), CALIBRATION + HELD_OUT):
        with contextlib.suppress(UnreadableImage):
            read.append(read_image(files[row], to))
    if not (third := len(read) // 3):
        raise UserError(f"{folder} has {len(read)} images that can be read; int8 needs 3, better 100")
    return np.stack(read[:third]), np.stack(read[third:])


def write_onnx(served: ServedClassifier, file: Path) -> None:
    """`images` uint8 (b, H, W, c) to the outputs of `serving_default`, and evidence as `explain` has it."""
    import onnx
    import tf2onnx

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


def model_answers(
    model: keras.Model, images: np.ndarray, probabilities: Callable, evidence: bool = False
) -> Answers:
    """What the Keras model says: `probabilities` `(b, k)`, `attention_<tap>` `(b, h, w)`, and if wanted the
    evidence for the predicted class, where the network has it."""
    evidence = evidence and has_evidence(model)
    # Not by `predict`, which Keras compiles with XLA on a GPU, and on some that aborts.
    outputs = (evidence_model(model, "predicted") if evidence else model)(images.astype("float32"))
    answers = {name: value for name, value in outputs.items() if name.startswith(ATTENTION)}
    answers |= evidence_at_size(outputs, images.shape[1:3]) if evidence else {}
    answers[PROBABILITIES] = probabilities(keras.ops.cast(outputs[LOGITS], "float32"))
    return {name: keras.ops.convert_to_numpy(value) for name, value in answers.items()}


@contextlib.contextmanager
def exact_products() -> Iterator[None]:
    """Float32 is float32 inside: GPUs otherwise round the factors of products to eleven bits."""
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


@exact_products()
def check_file(
    name: str, file: Path, model: keras.Model, probabilities: Callable, held_out: np.ndarray | None = None
) -> tuple[float | None, tuple[int, int] | None]:
    """The largest difference of a probability from the Keras model's, None without the runtime; and on images
    that were `held_out` for int8, how many answers are the model's, and of how many.

    On noise, an output that differs by more than `TOLERANCE`, of numbers beyond 1 by more than that share of
    the largest, raises UserError.
    """

    def both(images: np.ndarray) -> list[Answers]:
        wanted = model_answers(model, images, probabilities, evidence=name == "onnx")
        found = {o: value for o, value in run_file(name, file, images).items() if o not in FOLLOWING}
        shapes = [{output: value.shape for output, value in answers.items()} for answers in (found, wanted)]
        if shapes[0] != shapes[1]:
            raise UserError(f"the file answers with {shapes[0]}, the model with {shapes[1]}")
        # A number that is NaN in both, as in a network that diverged, does not differ.
        return [{o: np.nan_to_num(v, nan=-1.0) for o, v in answers.items()} for answers in (found, wanted)]

    try:
        found, wanted = in_batches(both, noise(model) if held_out is None else held_out, 10)
    except ModuleNotFoundError:
        return None, None
    differences = {output: float(np.abs(found[output] - value).max()) for output, value in wanted.items()}
    if held_out is not None:
        probable = (answers[PROBABILITIES] for answers in (found, wanted))
        return differences[PROBABILITIES], same_answers(*probable, model)
    for output, difference in differences.items():
        allowed = TOLERANCE[precision(model) == "float32"] * max(1.0, float(np.abs(wanted[output]).max()))
        if not difference <= allowed:
            raise UserError(
                f"the {name} file's {output} differs from the model's by {difference:.0e}, more than "
                f"{allowed:.0e}; nothing was exported"
            )
    return differences[PROBABILITIES], None


def noise(model: keras.Model) -> np.ndarray:
    """A few seeded images, uint8 `(4, H, W, c)`, of growing contrast. A free side is 224."""
    shape = (IMAGES, *(side or SIDE for side in model.inputs[0].shape[1:]))
    contrast = np.linspace(0.25, 1, IMAGES).reshape(-1, 1, 1, 1)
    return (np.random.default_rng(0).uniform(0, 256, shape) * contrast).astype("uint8")


def same_answers(found: np.ndarray, wanted: np.ndarray, model: keras.Model) -> tuple[int, int] | None:
    """Of probabilities `(n, k)`, the images whose class, or all of whose tags, are those that are wanted, and
    all; numbers have no such count."""
    activation, thresholds = getattr(model, "activation", "softmax"), getattr(model, "thresholds", None)
    same = found.argmax(axis=1) == wanted.argmax(axis=1)
    if activation == "sigmoid":
        same = ((found >= (thresholds or 0.5)) == (wanted >= (thresholds or 0.5))).all(axis=1)
    return None if activation == "linear" else (int(same.sum()), len(found))


@exact_products()
def rounding(network: keras.Model, model: keras.Model, probabilities: Callable) -> float:
    """The largest difference of a probability between a network in two precisions."""
    answers = [model_answers(one, noise(model), probabilities)[PROBABILITIES] for one in (network, model)]
    return float(np.abs(answers[0] - answers[1]).max())
