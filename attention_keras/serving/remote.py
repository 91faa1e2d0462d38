"""A model on a TensorFlow Serving server, asked by REST, with the face of a model that is loaded here."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from attention_keras.data.geometry import Resize
from attention_keras.errors import UserError
from attention_keras.extras import needs
from attention_keras.models.outputs import ATTENTION

IMAGES_A_REQUEST = 8
TIMEOUT = 30.0  # seconds
RETRIES = 3
BUSY = (429, 502, 503, 504)


class RemoteModel:
    """Predictions of a served model: a `Predictor`.

    A refused connection or a busy server is tried again after 1 s and 2 s. A request that the server took and
    did not answer in time is not, because that would only add to the load.

    `url` is `http://HOST:8501/v1/models/NAME`, and `/versions/N` or `/labels/LABEL` may follow.
    """

    card = None
    temperature = 1.0  # the graph has applied its own already

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
        self._signatures = set(signatures)
        self.class_names: list[str] | None = None
        self.resize: Resize = "crop"
        if "describe" in self._signatures:  # exports of version 0.2 do not have it
            described = self._call("describe", rows=[0])
            self.class_names, self.resize = described["class_names"][0].tolist(), str(described["resize"][0])

    def predict(self, images: np.ndarray, batch_size: int = IMAGES_A_REQUEST) -> dict[str, np.ndarray]:
        """`probabilities` `(n, k)` and `attention_<tap>` `(n, h, w)` of uint8 images `(n, H, W, c)`."""
        outputs = self._call("serving_default", images=images)
        wanted = ("probabilities", ATTENTION)
        return {name: value for name, value in outputs.items() if name.startswith(wanted)}

    def explain(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """As `predict`, and `evidence` `(n, H, W)` for the predicted class, where the model has it."""
        found = self._call("explain", images=images) if "explain" in self._signatures else {}
        evidence = {"evidence": found["evidence"]} if "evidence" in found else {}
        return self.predict(images) | evidence

    def evidence(self, images: np.ndarray, classes: Sequence[int]) -> np.ndarray | None:
        """Evidence for these classes, `(n, H, W)`; None where the model has none."""
        if "explain_class" not in self._signatures:
            return None
        return self._call("explain_class", images=images, classes=np.asarray(classes))["evidence"]

    def _call(self, signature: str, **inputs: Any) -> dict[str, np.ndarray]:
        """Outputs of a signature by name, a few rows a request."""
        parts = []
        for start in range(0, len(next(iter(inputs.values()))), IMAGES_A_REQUEST):
            rows = slice(start, start + IMAGES_A_REQUEST)
            columns = {name: np.asarray(values[rows]).tolist() for name, values in inputs.items()}
            said = self._request("POST", ":predict", {"signature_name": signature, "inputs": columns})
            outputs = said.get("outputs") if isinstance(said, dict) else None
            # An output that is alone comes without its name.
            parts.append(outputs if isinstance(outputs, dict) else {"probabilities": outputs})
        return {name: np.concatenate([np.asarray(part[name]) for part in parts]) for name in parts[0]}

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
