"""Ask about images by gRPC:   python request_grpc.py IMAGE... [--server HOST:8500] [--model NAME]

Needs tensorflow-serving-api, which `pip install "attention-keras[serve]"` brings. gRPC moves pixels and maps
without turning them into text; for a few files the REST of request.py is enough.
"""

import argparse
import sys
from pathlib import Path

import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", nargs="+")
    parser.add_argument("--server", default="localhost:8500")
    parser.add_argument("--model", default="demo")
    options = parser.parse_args()
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = options.model, "serve_bytes"
    contents = [Path(path).read_bytes() for path in options.images]
    request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto(contents))
    with grpc.insecure_channel(options.server) as channel:
        service = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        outputs = service.Predict(request, timeout=10).outputs
    answers = {name: tf.make_ndarray(tensor) for name, tensor in outputs.items()}
    for path, valid, row in zip(options.images, answers["valid"], answers["probabilities"]):
        best = row.argmax()
        print(f"{path}: class {best} ({row[best]:.1%})" if valid else f"{path}: no image that can be decoded")
    return 0


if __name__ == "__main__":
    sys.exit(main())
