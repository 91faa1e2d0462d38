"""A model on a TensorFlow Serving server, asked by REST."""

from typing import Any

import numpy as np

from attention_keras.errors import UserError
from attention_keras.extras import needs
from attention_keras.serving.served_model import ServedModel

TIMEOUT = 30.0  # seconds
RETRIES = 3
BUSY = (429, 502, 503, 504)


class RemoteModel(ServedModel):
    """The model at `url`, `http://HOST:8501/v1/models/NAME`; `/versions/N` or `/labels/LABEL` may follow.

    A refused connection or a busy server is tried again after 1 s and 2 s. A request that the server took and
    did not answer in time is not, because that would only add to the load.

    Raises:
        UserError: nobody answers at the URL, or no model of this package does.

    Example:
        >>> served = RemoteModel("http://localhost:8501/v1/models/demo")  # doctest: +SKIP
        >>> served.predict(images)["probabilities"].shape  # doctest: +SKIP
        (12, 10)
    """

    def __init__(self, url: str, timeout: float = TIMEOUT):
        with needs("a model on a server", extra="serve"):
            import requests
            from requests.adapters import HTTPAdapter, Retry
        if not url.startswith(("http://", "https://")) or "/v1/models/" not in url:
            raise UserError(f"{url} is no URL of a model; type http://HOST:8501/v1/models/NAME")
        self.url, self.timeout = url.rstrip("/"), timeout
        retry = Retry(RETRIES, read=False, backoff_factor=0.5, status_forcelist=BUSY, allowed_methods=None)
        self._session = requests.Session()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=retry))
        said = self._request("GET", "/metadata")
        try:
            signatures = said["metadata"]["signature_def"]["signature_def"]
            default = signatures["serving_default"]
            self.image_shape = _shape(default["inputs"]["images"])
            self.num_classes = _shape(default["outputs"]["probabilities"])[0]
        except (KeyError, TypeError, ValueError, IndexError):
            raise UserError(f"{self.url} describes no model of attention_keras") from None
        self.signatures = set(signatures)
        self.resize = "crop"
        if "describe" in self.signatures:  # exports of version 0.2 do not have it
            described = self.call("describe", rows=np.zeros(1, int))
            self.class_names, self.resize = described["class_names"][0].tolist(), str(described["resize"][0])
            if "activation" in described:
                self.activation = str(described["activation"][0])
            for name in ("thresholds", "value_range"):
                if name in described:
                    setattr(self, name, described[name][0].tolist())

    def call(self, signature, **inputs):
        columns = {name: values.tolist() for name, values in inputs.items()}
        said = self._request("POST", ":predict", {"signature_name": signature, "inputs": columns})
        outputs = said.get("outputs") if isinstance(said, dict) else None
        # An output that is alone comes without its name.
        outputs = outputs if isinstance(outputs, dict) else {"probabilities": outputs}
        return {name: np.asarray(value) for name, value in outputs.items()}

    def _request(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """The JSON of the answer."""
        import requests

        try:
            response = self._session.request(method, self.url + path, json=body, timeout=self.timeout)
            said = response.json()
        except requests.JSONDecodeError:
            raise UserError(f"{self.url} is no TensorFlow Serving: its answer is no JSON") from None
        except requests.ReadTimeout:
            raise UserError(f"{self.url} gave no answer within {self.timeout:g} s") from None
        except requests.RequestException as error:
            reason = str(error).rpartition("(Caused by ")[2].rpartition(": ")[2].strip("')\"") or error
            raise UserError(f"{self.url} cannot be reached ({reason}); is a server running there?") from None
        if not response.ok:
            reason = said.get("error", said) if isinstance(said, dict) else said
            raise UserError(f"{self.url} refused the request: {reason}")
        return said


def _shape(tensor: dict[str, Any]) -> tuple[int | None, ...]:
    """Without the batch; a side that is free is -1 on the wire."""
    sides = [int(side["size"]) for side in tensor["tensor_shape"]["dim"]]
    return tuple(side if side >= 0 else None for side in sides[1:])
