"""One complete SavedModel: the network with its signatures, labels, warm-up requests and card."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2

from attention_keras.runs import provenance
from attention_keras.runs.directory import LABELS
from attention_keras.serving.signatures import ServedClassifier
from attention_keras.serving.versions import CARD_FILE

WARMUP_FILE = Path("assets.extra", "tf_serving_warmup_requests")
SIDE = 224  # of an image for a model that takes any size
EVIDENCE = (
    "What each pixel adds to a logit or a number: the sum of `evidence` over the pixels plus `evidence_rest` "
    "is it; under a softmax, it less the mean of all logits (for indep networks summed over the levels)."
)
NO_EVIDENCE = "None: the logits of this network are no sum over positions."


def write_saved_model(served: ServedClassifier, path: Path, card: Mapping[str, Any]) -> None:
    """A complete version at `path`; its card has what training knows, what follows from the model, and the
    SHA-256 of every other file."""
    signatures = served.signatures()
    try:
        tf.saved_model.save(served, str(path), signatures=signatures)
    except tf.errors.OpError as error:  # of TensorFlow's own file system
        raise OSError(error.message.splitlines()[0]) from None
    labels = "".join(f"{name}\n" for name in served.class_names)
    (path / CARD_FILE.with_name(LABELS)).write_text(labels, encoding="utf-8")
    about = {name: _inputs_and_outputs(function) for name, function in signatures.items()}
    _write_warmup(path / WARMUP_FILE, served, {name: list(facts["inputs"]) for name, facts in about.items()})
    files = sorted(file for file in path.rglob("*") if file.is_file())
    card = {
        **card,
        "classes": list(served.class_names),
        "resize": served.resize,
        "input": {"shape": list(served.image_shape), "dtype": "uint8", "range": [0, 255]},
        "signatures": about,
        "evidence": EVIDENCE if served.has_evidence else NO_EVIDENCE,
        "versions": provenance.library_versions(),
        "commit": provenance.commit(),
        "sha256": {str(f.relative_to(path)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files},
    }
    (path / CARD_FILE).write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _inputs_and_outputs(function) -> dict[str, Any]:
    """Type and shape of every input and output; a length that is free is None."""
    inputs = {spec.name: spec for spec in function.structured_input_signature[0]}
    return {
        kind: {
            name: {"dtype": tensor.dtype.name, "shape": tensor.shape.as_list()}
            for name, tensor in tensors.items()
        }
        for kind, tensors in (("inputs", inputs), ("outputs", function.structured_outputs))
    }


def _write_warmup(path: Path, served: ServedClassifier, signatures: Mapping[str, list[str]]) -> None:
    """A request of one row for every signature (name -> inputs): TensorFlow Serving replays them before it
    lets a new version answer."""
    image = (side or SIDE for side in served.image_shape)
    # A number that stands once fills its whole tensor, so that a request takes a few bytes.
    values = {
        "images": tf.make_tensor_proto(0, tf.uint8, (1, *image)),
        "classes": tf.make_tensor_proto(0, tf.int32, (1,)),
        "rows": tf.make_tensor_proto(0, tf.int32, (1,)),
        "image_bytes": tf.make_tensor_proto([tf.io.encode_png(tf.zeros((8, 8, 3), tf.uint8)).numpy()]),
    }
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, names in signatures.items():
            request = predict_pb2.PredictRequest(
                model_spec=model_pb2.ModelSpec(signature_name=signature),
                inputs={name: values[name] for name in names},
            )
            log = prediction_log_pb2.PredictLog(request=request)
            writer.write(prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString())
