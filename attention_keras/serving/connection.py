"""One call to a model server, by REST or gRPC: names and arrays in, names and arrays out."""

import base64
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from attention_keras.errors import UserError
from attention_keras.extras import needs

FORM = "http://HOST:8501/v1/models/NAME, or grpc://HOST:8500/v1/models/NAME"
PATH = re.compile(r"/v1/models/(?P<model>[^/:]+)(/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?/?")
PORTS = {"http": 80, "https": 443, "grpc": 8500, "grpcs": 8500}
FIRST_WAIT = 0.5
ONLY_OUTPUT = "probabilities"
BUSY = (429, 502, 503, 504)


@dataclass(frozen=True)
class Address:
    """A model on a server: `<scheme>://<host>/v1/models/<model>[/versions/<n> | /labels/<label>]`."""

    scheme: str
    host: str
    model: str
    version: int | None = None
    label: str | None = None

    @classmethod
    def parse(cls, url: str) -> "Address":
        """From TF Serving's own URLs; `grpc://` and `grpcs://` take the same path.

        Raises:
            UserError: it is no such URL.

        Example:
            >>> Address.parse("grpc://localhost:8500/v1/models/demo/versions/3").version
            3
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise UserError(f"url {url} is no URL; it is {FORM}") from None
        path = PATH.fullmatch(parts.path)
        if parts.scheme not in PORTS or not parts.hostname or not path or parts.query:
            raise UserError(f"url {url} does not say server and model; it is {FORM}")
        host = parts.netloc if port else f"{parts.netloc}:{PORTS[parts.scheme]}"
        version = int(path["version"]) if path["version"] else None
        return cls(parts.scheme, host, path["model"], version, path["label"])

    def __str__(self) -> str:
        chosen = f"/versions/{self.version}" if self.version is not None else ""
        chosen = f"/labels/{self.label}" if self.label else chosen
        return f"{self.scheme}://{self.host}/v1/models/{self.model}{chosen}"


class Unavailable(Exception):
    """The server did not take the request; the same request may succeed later."""


class Connection:
    """Calls the signatures of one served model.

    A refused connection or a busy server is tried again after 0.5 s, 1 s, 2 s, ...; a request that
    reached the server and got no answer in time is not, because it would only add to the load.

    Args:
        url: see Address.
        timeout: seconds for one try.
        retries: tries after the first.

    Example:
        >>> served = Connection("http://localhost:8501/v1/models/demo")
        >>> served.call("serve_bytes", image_bytes=[png])["probabilities"].shape  # doctest: +SKIP
        (1, 10)
    """

    def __init__(self, url: str, *, timeout: float = 10.0, retries: int = 3):
        self.address = Address.parse(url)
        self.timeout, self.retries = timeout, retries
        self._call = (_rest if self.address.scheme.startswith("http") else _grpc)(self.address, timeout)

    def call(self, signature: str, **inputs: Any) -> dict[str, np.ndarray]:
        """Outputs of a signature by name.

        Args:
            signature: one of the model's signatures.
            **inputs: arrays, or lists of bytes, by input name; the batch is the first axis.

        Raises:
            UserError: the server cannot be reached, knows no such model, or refuses the request.
        """
        wait = FIRST_WAIT
        for attempt in range(self.retries + 1):
            try:
                return self._call(signature, inputs)
            except Unavailable as error:
                reason = error
            if attempt < self.retries:
                time.sleep(wait)
                wait *= 2
        tries = "once" if self.retries == 0 else f"{self.retries + 1} times"
        raise UserError(
            f"{self.address} cannot be reached ({reason}; tried {tries}); is the server running there? "
            "REST is on port 8501 as a rule, gRPC on 8500"
        )


Call = Callable[[str, dict[str, Any]], dict[str, np.ndarray]]


def _rest(address: Address, timeout: float) -> Call:
    """Calls by HTTP and JSON, TF Serving's column format; bytes travel as base64."""
    with needs("REST", extra="serve"):
        import requests

    session = requests.Session()

    def call(signature, inputs):
        columns = {name: _json_value(value) for name, value in inputs.items()}
        body = {"signature_name": signature, "inputs": columns}
        try:
            response = session.post(f"{address}:predict", json=body, timeout=timeout)
        except requests.Timeout as error:
            if isinstance(error, requests.ConnectTimeout):
                raise Unavailable("no connection in time") from None
            raise _too_slow(address, timeout) from None
        except requests.ConnectionError as error:
            raise Unavailable(_reason(error)) from None
        except requests.RequestException as error:
            raise UserError(f"{address}: {error}") from None
        if response.status_code in BUSY:
            raise Unavailable(f"HTTP {response.status_code}")
        try:
            answer = response.json()
        except ValueError:
            raise UserError(
                f"{address} is no TF Serving: HTTP {response.status_code}, and no JSON in the answer"
            ) from None
        if response.status_code != 200:
            said = answer.get("error", answer) if isinstance(answer, dict) else answer
            raise UserError(f"{address} refused the request: {said}")
        outputs = answer["outputs"]
        # An output that is alone comes without its name.
        outputs = outputs if isinstance(outputs, dict) else {ONLY_OUTPUT: outputs}
        return {name: np.asarray(value) for name, value in outputs.items()}

    return call


def _json_value(value):
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode("ascii")}
    return value.tolist() if isinstance(value, np.ndarray) else [_json_value(item) for item in value]


def _reason(error: Exception) -> str:
    """The last words of a chain of exceptions: "Connection refused" out of three lines."""
    words = re.findall(r"\[Errno -?\d+\] ([^'\")\\]+)", str(error))
    return words[-1] if words else type(error).__name__


def _too_slow(address: Address, timeout: float) -> UserError:
    return UserError(f"{address} gave no answer within {timeout:g} s; a larger timeout gives it longer")


def _grpc(address: Address, timeout: float) -> Call:
    """Calls by gRPC, with the messages of tensorflow-serving-api."""
    with needs("gRPC", extra="serve"):
        import grpc
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    if address.scheme == "grpcs":
        channel = grpc.secure_channel(address.host, grpc.ssl_channel_credentials(), options)
    else:
        channel = grpc.insecure_channel(address.host, options)
    service = prediction_service_pb2_grpc.PredictionServiceStub(channel)

    def call(signature, inputs):
        request = predict_pb2.PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = address.model, signature
        if address.version is not None:
            request.model_spec.version.value = address.version
        elif address.label:
            request.model_spec.version_label = address.label
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        try:
            response = service.Predict(request, timeout=timeout)
        except grpc.RpcError as error:
            if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED):
                raise Unavailable(error.details().split(": ")[-1]) from None
            if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
                raise _too_slow(address, timeout) from None
            raise UserError(f"{address} refused the request: {error.details()}") from None
        return {name: tf.make_ndarray(tensor) for name, tensor in response.outputs.items()}

    return call
