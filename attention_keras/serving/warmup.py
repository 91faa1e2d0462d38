"""Warm-up requests: TensorFlow Serving replays them before it lets a new version answer."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2

WARMUP_FILE = Path("assets.extra") / "tf_serving_warmup_requests"
SIDE = 224  # of the image for a model that takes any size


def write_warmup(
    saved_model: Path, image_shape: tuple[int | None, ...], signatures: Mapping[str, Sequence[str]]
) -> Path:
    """One request of one row for every signature (name -> inputs), where the server looks for it."""
    height, width, channels = (side or SIDE for side in image_shape)
    # A number that stands once fills its whole tensor, so that a request takes a few bytes.
    values = {
        "images": tensor_pb2.TensorProto(dtype=tf.uint8.as_datatype_enum, int_val=[0]),
        "classes": tensor_pb2.TensorProto(dtype=tf.int32.as_datatype_enum, int_val=[0]),
        "rows": tensor_pb2.TensorProto(dtype=tf.int32.as_datatype_enum, int_val=[0]),
        "image_bytes": tf.make_tensor_proto([tf.io.encode_png(tf.zeros((8, 8, 3), tf.uint8)).numpy()]),
    }
    for name, shape in (("images", (1, height, width, channels)), ("classes", (1,)), ("rows", (1,))):
        values[name].tensor_shape.CopyFrom(tf.TensorShape(shape).as_proto())
    path = saved_model / WARMUP_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, names in signatures.items():
            inputs = {name: values[name] for name in names}
            request = predict_pb2.PredictRequest(
                model_spec=model_pb2.ModelSpec(signature_name=signature), inputs=inputs
            )
            log = prediction_log_pb2.PredictLog(request=request)
            writer.write(prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString())
    return path
