"""One call to a model server, by REST or gRPC: names and arrays in, names and arrays out."""

import base64
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from attention_keras.data.geometry import Resize
from attention_keras.errors import UserError
from attention_keras.extras import needs
from attention_keras.serving.quiet import start_tensorflow

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
        resize: how the model brings pictures of another shape to its own; its card says.

    Example:
        >>> served = Connection("http://localhost:8501/v1/models/demo")
        >>> served.call("serve_bytes", image_bytes=[png])["probabilities"].shape  # doctest: +SKIP
        (1, 10)
    """

    def __init__(self, url: str, *, timeout: float = 10.0, retries: int = 3, resize: Resize = "crop"):
        self.address, self.resize = Address.parse(url), resize
        self.timeout, self.retries = timeout, retries
        self._transport = (_Rest if self.address.scheme.startswith("http") else _Grpc)(self.address, timeout)

    def call(self, signature: str, **inputs: Any) -> dict[str, np.ndarray]:
        """Outputs of a signature by name.

        Args:
            signature: one of the model's signatures.
            **inputs: arrays, or lists of bytes, by input name; the batch is the first axis.

        Raises:
            UserError: the server cannot be reached, knows no such model, or refuses the request.
        """
        return self._try(lambda: self._transport.call(signature, inputs))

    def image_shape(self, signature: str) -> tuple[int | None, ...] | None:
        """What a signature takes as `images`: `(H, W, 3)`, None for a side that is free.

        Returns:
            None where the model has no such signature, or the signature takes no images.

        Raises:
            UserError: the server cannot be reached, knows no such model, or does not describe it.
        """
        return self._try(self._transport.image_shapes).get(signature)

    def _try(self, request: Callable[[], Any]) -> Any:
        """What the request gives; it is made again where the server does not take it."""
        wait = FIRST_WAIT
        for attempt in range(self.retries + 1):
            try:
                return request()
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


Shapes = dict[str, tuple[int | None, ...]]


class _Rest:
    """HTTP and JSON, TF Serving's column format; bytes travel as base64."""

    def __init__(self, address: Address, timeout: float):
        with needs("REST", extra="serve"):
            import requests

        self.address, self.timeout, self.session = address, timeout, requests.Session()

    def call(self, signature: str, inputs: dict[str, Any]) -> dict[str, np.ndarray]:
        """Outputs by name."""
        columns = {name: _json_value(value) for name, value in inputs.items()}
        body = {"signature_name": signature, "inputs": columns}
        outputs = self._request("POST", f"{self.address}:predict", body)["outputs"]
        # An output that is alone comes without its name.
        outputs = outputs if isinstance(outputs, dict) else {ONLY_OUTPUT: outputs}
        return {name: np.asarray(value) for name, value in outputs.items()}

    def image_shapes(self) -> Shapes:
        """The shape of `images` by signature."""
        said = self._request("GET", f"{self.address}/metadata")
        try:
            signatures = said["metadata"]["signature_def"]["signature_def"]
            # The signature that starts a model has no inputs.
            taken = {name: signature.get("inputs", {}) for name, signature in signatures.items()}
            return {
                name: _free_as_none(int(side["size"]) for side in inputs["images"]["tensor_shape"]["dim"])
                for name, inputs in taken.items()
                if "images" in inputs
            }
        except (KeyError, TypeError, AttributeError):
            raise UserError(f"{self.address} is no TF Serving: it does not describe the model") from None

    def _request(self, method: str, url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The JSON of the answer."""
        import requests

        try:
            response = self.session.request(method, url, json=body, timeout=self.timeout)
        except requests.Timeout as error:
            if isinstance(error, requests.ConnectTimeout):
                raise Unavailable("no connection in time") from None
            raise _too_slow(self.address, self.timeout) from None
        except requests.ConnectionError as error:
            raise Unavailable(_reason(error)) from None
        except requests.RequestException as error:
            raise UserError(f"{self.address}: {error}") from None
        if response.status_code in BUSY:
            raise Unavailable(f"HTTP {response.status_code}")
        try:
            answer = response.json()
        except ValueError:
            raise UserError(
                f"{self.address} is no TF Serving: HTTP {response.status_code}, and no JSON in the answer"
            ) from None
        if response.status_code != 200:
            said = answer.get("error", answer) if isinstance(answer, dict) else answer
            raise UserError(f"{self.address} refused the request: {said}")
        return answer


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


def _free_as_none(sides: Iterable[int]) -> tuple[int | None, ...]:
    """Without the batch; a side that is free is -1 on the wire."""
    return tuple(side if side >= 0 else None for side in sides)[1:]


class _Grpc:
    """gRPC, with the messages of tensorflow-serving-api."""

    def __init__(self, address: Address, timeout: float):
        with needs("gRPC", extra="serve"):
            start_tensorflow()
            import grpc
            import tensorflow  # noqa: F401
            from tensorflow_serving.apis import prediction_service_pb2_grpc

        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        if address.scheme == "grpcs":
            channel = grpc.secure_channel(address.host, grpc.ssl_channel_credentials(), options)
        else:
            channel = grpc.insecure_channel(address.host, options)
        self.address, self.timeout = address, timeout
        self.service = prediction_service_pb2_grpc.PredictionServiceStub(channel)

    def call(self, signature: str, inputs: dict[str, Any]) -> dict[str, np.ndarray]:
        """Outputs by name."""
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2

        request = predict_pb2.PredictRequest()
        request.model_spec.signature_name = signature
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        response = self._request(self.service.Predict, request)
        return {name: tf.make_ndarray(tensor) for name, tensor in response.outputs.items()}

    def image_shapes(self) -> Shapes:
        """The shape of `images` by signature."""
        from tensorflow_serving.apis import get_model_metadata_pb2

        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        response = self._request(self.service.GetModelMetadata, request)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata["signature_def"].Unpack(signatures)
        return {
            name: _free_as_none(side.size for side in signature.inputs["images"].tensor_shape.dim)
            for name, signature in signatures.signature_def.items()
            if "images" in signature.inputs
        }

    def _request(self, method: Callable, request: Any) -> Any:
        """The message of the answer."""
        import grpc

        request.model_spec.name = self.address.model
        if self.address.version is not None:
            request.model_spec.version.value = self.address.version
        elif self.address.label:
            request.model_spec.version_label = self.address.label
        try:
            return method(request, timeout=self.timeout)
        except grpc.RpcError as error:
            if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED):
                raise Unavailable(error.details().split(": ")[-1]) from None
            if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
                raise _too_slow(self.address, self.timeout) from None
            raise UserError(f"{self.address} refused the request: {error.details()}") from None
