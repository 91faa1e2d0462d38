"""Warm-up requests: TF Serving replays them before it lets a new version answer."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2

WARMUP_FILE = Path("assets.extra") / "tf_serving_warmup_requests"
BATCH_SIZES = (1, 8)
SIDE = 224  # of the images for a model that takes any size


def write_warmup(
    saved_model: Path, image_shape: tuple[int | None, ...], signatures: Mapping[str, Sequence[str]]
) -> Path:
    """Requests for every signature at batch 1 and 8, in the file where TF Serving looks for them.

    Args:
        saved_model: the version's directory.
        image_shape: `(H, W, 3)` of the model; None where it takes any size.
        signatures: the names of each signature's inputs.
    """
    path = saved_model / WARMUP_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = tuple(side or SIDE for side in image_shape)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for batch in BATCH_SIZES:
            images = np.zeros((batch, *shape), "uint8")
            encoded = [tf.io.encode_png(image).numpy() for image in images]
            values = {
                "images": images,
                "classes": np.zeros(batch, "int32"),
                "image_bytes": np.array(encoded, object),
            }
            for signature, names in signatures.items():
                writer.write(_log(signature, {name: values[name] for name in names}))
    return path


def _log(signature: str, inputs: Mapping[str, np.ndarray]) -> bytes:
    request = predict_pb2.PredictRequest(model_spec=model_pb2.ModelSpec(signature_name=signature))
    for name, values in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
    log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
    return log.SerializeToString()
