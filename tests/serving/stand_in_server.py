"""A model server for the tests: TF Serving's documented REST and gRPC API over one SavedModel.

It is written from the API's description (tensorflow.org/tfx/serving/api_rest, prediction_service.proto)
and shares no code with the client, so that both have to agree with the description.
"""

import base64
import json
import re
import threading
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2, prediction_service_pb2_grpc

MODEL = r"/v1/models/(\w+)(?:/versions/(\d+)|/labels/(\w+))?"
PREDICT, METADATA = re.compile(f"{MODEL}:predict"), re.compile(f"{MODEL}/metadata")
VERSION, LABEL = 1, "stable"


class Refused(Exception):
    """A request that TF Serving would refuse: HTTP status and message."""


def run(signatures, signature_name, inputs):
    """Arrays to arrays through a signature, checked as the server checks them."""
    if signature_name not in signatures:
        raise Refused(400, f"Serving signature name: {signature_name!r} not found in signature def")
    function = signatures[signature_name]
    specs = function.structured_input_signature[1]
    if inputs.keys() != specs.keys():
        raise Refused(400, f"inputs are {sorted(inputs)}, the signature has {sorted(specs)}")
    try:
        tensors = {n: tf.constant(value, specs[n].dtype) for n, value in inputs.items()}
        for name, tensor in tensors.items():
            if not specs[name].shape.is_compatible_with(tensor.shape):
                raise Refused(400, f"{name} has shape {tensor.shape}, expected {specs[name].shape}")
        return {name: value.numpy() for name, value in function(**tensors).items()}
    except (ValueError, TypeError, tf.errors.OpError) as error:
        raise Refused(400, str(error)) from None


def from_json(value):
    """JSON to values: {"b64": ...} is bytes, everything else stands for itself."""
    if isinstance(value, dict):
        if value.keys() != {"b64"}:
            raise Refused(400, f"JSON Value: {value} is not a tensor")
        return base64.b64decode(value["b64"], validate=True)
    return [from_json(item) for item in value] if isinstance(value, list) else value


def answer(signatures, body):
    """The answer to a predict request's body, in the row or the column format."""
    if not body.keys() <= {"signature_name", "instances", "inputs"} or ("inputs" in body) == (
        "instances" in body
    ):
        raise Refused(400, "a request has instances or inputs, and may have signature_name")
    name = body.get("signature_name", "serving_default")
    if "inputs" in body:
        outputs = run(signatures, name, {n: from_json(v) for n, v in body["inputs"].items()})
        outputs = {n: value.tolist() for n, value in outputs.items()}
        return {"outputs": outputs if len(outputs) > 1 else next(iter(outputs.values()))}
    rows = body["instances"]
    if not isinstance(rows, list) or not rows:
        raise Refused(400, "instances must be a list with something in it")
    if all(isinstance(row, dict) and row.keys() != {"b64"} for row in rows):
        inputs = {n: [from_json(row[n]) for row in rows] for n in rows[0]}
    else:
        only = next(iter(signatures[name].structured_input_signature[1]))
        inputs = {only: [from_json(row) for row in rows]}
    outputs = {n: value.tolist() for n, value in run(signatures, name, inputs).items()}
    if len(outputs) == 1:
        return {"predictions": next(iter(outputs.values()))}
    return {"predictions": [dict(zip(outputs, row)) for row in zip(*outputs.values())]}


def metadata(saved_model):
    """What the server tells of a model: the signatures that stand in its file."""
    stored = saved_model_pb2.SavedModel.FromString((saved_model / "saved_model.pb").read_bytes())
    signatures = get_model_metadata_pb2.SignatureDefMap()
    for name, signature in stored.meta_graphs[0].signature_def.items():
        signatures.signature_def[name].CopyFrom(signature)
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    response.metadata["signature_def"].Pack(signatures)
    return response


class StandInServer:
    """REST and gRPC on free ports of this machine, for as long as it is entered.

    Args:
        saved_model: a version's directory.
        model: the name it is served under.
    """

    def __init__(self, saved_model, model="demo"):
        self.signatures = tf.saved_model.load(str(saved_model)).signatures
        self.metadata = metadata(Path(saved_model))
        self.model = model
        self.busy = 0  # so many further requests are turned away with 503 or UNAVAILABLE
        self.delay = threading.Event()  # set: requests are not answered until it is cleared
        self.released = threading.Event()
        self.requests = 0

    def __enter__(self):
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))
        self.thread.start()
        self.grpc = grpc.server(futures.ThreadPoolExecutor(2))
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(_Servicer(self), self.grpc)
        grpc_port = self.grpc.add_insecure_port("127.0.0.1:0")
        self.grpc.start()
        self.rest_url = f"http://127.0.0.1:{self.http.server_port}/v1/models/{self.model}"
        self.grpc_url = f"grpc://127.0.0.1:{grpc_port}/v1/models/{self.model}"
        return self

    def __exit__(self, *unused):
        self.released.set()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()
        self.grpc.stop(None).wait()

    def admit(self, model, version, label):
        """Whether a request for this model gets in."""
        self.requests += 1
        if self.delay.is_set():
            self.released.wait()
        if self.busy:
            self.busy -= 1
            raise Refused(503, "busy")
        if model != self.model or version not in (None, VERSION) or label not in (None, "", LABEL):
            raise Refused(404, f"Servable not found for request: {model} {version or label or ''}")


def _handler(server):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            content = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                self.admit(PREDICT)
                try:
                    body = json.loads(content)
                except ValueError:
                    raise Refused(400, "JSON Parse error") from None
                self.send(200, answer(server.signatures, body))
            except Refused as refused:
                status, message = refused.args
                self.send(status, {"error": message})

        def do_GET(self):
            try:
                self.admit(METADATA)
                self.send(200, json_format.MessageToDict(server.metadata, preserving_proto_field_name=True))
            except Refused as refused:
                status, message = refused.args
                self.send(status, {"error": message})

        def admit(self, wanted):
            path = wanted.fullmatch(self.path)
            if not path:
                raise Refused(404, f"Malformed request: {self.command} {self.path}")
            server.admit(path[1], path[2] and int(path[2]), path[3])

        def send(self, status, answer):
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *unused):
            pass

    return Handler


CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    404: grpc.StatusCode.NOT_FOUND,
    503: grpc.StatusCode.UNAVAILABLE,
}


class _Servicer(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, server):
        self.server = server

    def Predict(self, request, context):
        try:
            self.admit(request.model_spec)
            inputs = {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
            outputs = run(
                self.server.signatures, request.model_spec.signature_name or "serving_default", inputs
            )
        except Refused as refused:
            status, message = refused.args
            context.abort(CODES[status], message)
        response = predict_pb2.PredictResponse()
        for name, value in outputs.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(np.asarray(value)))
        return response

    def GetModelMetadata(self, request, context):
        try:
            self.admit(request.model_spec)
            if list(request.metadata_field) != ["signature_def"]:
                raise Refused(400, "Metadata field is not supported")
        except Refused as refused:
            status, message = refused.args
            context.abort(CODES[status], message)
        return self.server.metadata

    def admit(self, spec):
        version = spec.version.value if spec.HasField("version") else None
        self.server.admit(spec.name, version, spec.version_label)
