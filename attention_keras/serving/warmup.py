"""Warm-up requests: TF Serving replays them before it lets a new version answer."""

from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2

WARMUP_FILE = Path("assets.extra") / "tf_serving_warmup_requests"
BATCH_SIZES = (1, 8)


def write_warmup(saved_model: Path, image_shape: tuple[int, int, int]) -> Path:
    """Requests for every signature at batch 1 and 8, in the file where TF Serving looks for them.

    Args:
        saved_model: the version's directory.
        image_shape: `(H, W, 3)` of the model.
    """
    path = saved_model / WARMUP_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for batch in BATCH_SIZES:
            images = np.zeros((batch, *image_shape), "uint8")
            encoded = np.array([tf.io.encode_png(image).numpy() for image in images], object)
            for signature in ("serving_default", "classify", "explain"):
                writer.write(_log(signature, "images", images))
            writer.write(_log("serve_bytes", "image_bytes", encoded))
    return path


def _log(signature: str, name: str, values: np.ndarray) -> bytes:
    request = predict_pb2.PredictRequest(model_spec=model_pb2.ModelSpec(signature_name=signature))
    request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
    log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
    return log.SerializeToString()
