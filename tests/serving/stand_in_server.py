"""A model server for the tests: TensorFlow Serving's documented REST and gRPC API over one SavedModel.

It is written from the API's description (tensorflow.org/tfx/serving/api_rest, prediction_service.proto) and
shares no code with the client, so that both have to agree with the description.
"""

import base64
import contextlib
import json
import re
import threading
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2, prediction_service_pb2_grpc

PATH = re.compile(r"/v1/models/demo(?:/versions/1|/labels/stable)?(:predict|/metadata)")


def from_json(value):
    """JSON to values: {"b64": ...} is bytes, everything else stands for itself."""
    if isinstance(value, dict):
        return base64.b64decode(value["b64"], validate=True)
    return [from_json(item) for item in value] if isinstance(value, list) else value


class StandInServer(prediction_service_pb2_grpc.PredictionServiceServicer):
    """REST and gRPC on free ports of this machine, for as long as it is entered."""

    def __init__(self, saved_model):
        self.signatures = tf.saved_model.load(str(saved_model)).signatures
        stored = saved_model_pb2.SavedModel.FromString((saved_model / "saved_model.pb").read_bytes())
        told = get_model_metadata_pb2.GetModelMetadataResponse()
        told.metadata["signature_def"].Pack(
            get_model_metadata_pb2.SignatureDefMap(signature_def=stored.meta_graphs[0].signature_def)
        )
        self.metadata = json_format.MessageToDict(told, preserving_proto_field_name=True)
        self.busy = 0  # so many further requests are turned away with 503
        self.release = None  # an event that requests wait for
        self.requests = 0

    def __enter__(self):
        handler = type("Handler", (_Handler,), {"stand_in": self})
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()
        self.grpc = grpc.server(futures.ThreadPoolExecutor(2))
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(self, self.grpc)
        self.grpc_address = f"127.0.0.1:{self.grpc.add_insecure_port('127.0.0.1:0')}"
        self.grpc.start()
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1/models/demo"
        return self

    def __exit__(self, *unused):
        self.http.shutdown()
        self.http.server_close()
        self.grpc.stop(None).wait()

    def run(self, name, inputs):
        """Outputs of a signature; an error is one of the request."""
        specs = self.signatures[name].structured_input_signature[1]
        tensors = {key: tf.constant(value, specs[key].dtype) for key, value in inputs.items()}
        return {key: value.numpy() for key, value in self.signatures[name](**tensors).items()}

    def Predict(self, request, context):
        """What gRPC asks."""
        inputs = {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
        outputs = self.run(request.model_spec.signature_name, inputs)
        tensors = {name: tf.make_tensor_proto(value) for name, value in outputs.items()}
        return predict_pb2.PredictResponse(outputs=tensors)

    def rest(self, path, content):
        """Status and JSON for a path of REST; content is empty where the method is GET."""
        self.requests += 1
        if self.release:
            self.release.wait()
        if self.busy:
            self.busy -= 1
            return 503, {"error": "busy"}
        found = PATH.fullmatch(path)
        if not found or (not content) != (found[1] == "/metadata"):
            return 404, {"error": f"Servable not found for request: {path}"}
        try:
            return 200, self.predict(json.loads(content)) if content else self.metadata
        except Exception as error:
            return 400, {"error": str(error)}

    def predict(self, body):
        """The answer to a predict request's body, in the row or the column format."""
        assert ("inputs" in body) != ("instances" in body), "a request has instances or inputs"
        rows = body.get("instances")
        columns = body["inputs"] if rows is None else {key: [row[key] for row in rows] for key in rows[0]}
        columns = {key: from_json(value) for key, value in columns.items()}
        outputs = self.run(body.get("signature_name", "serving_default"), columns)
        outputs = {k: (v.astype(str) if v.dtype == object else v).tolist() for k, v in outputs.items()}
        if rows is None:
            return {"outputs": outputs if len(outputs) > 1 else next(iter(outputs.values()))}
        return {"predictions": [dict(zip(outputs, row)) for row in zip(*outputs.values())]}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, said = self.stand_in.rest(self.path, content)
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(BrokenPipeError):  # a client that has not waited
            self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *unused):
        pass
