"""What an export answers, wherever it runs: in this process, or on a TensorFlow Serving server, by REST."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from attention_keras.data.registry import Resize
from attention_keras.errors import UserError, needs
from attention_keras.explaining.explain import in_batches
from attention_keras.explaining.explanation import Explanation
from attention_keras.models.outputs import ATTENTION, PROBABILITIES
from attention_keras.runs.directory import TEMPERATURE
from attention_keras.serving.versions import read_card

RETRIES = 3
BUSY = (429, 502, 503, 504)
FACTS = {"class_names", "resize", "activation", "thresholds", "value_range", TEMPERATURE}
"""What a server may describe, and a card."""


class ServedModel(ABC):
    """A model by the signatures of its export; the graph has applied the temperature already."""

    batch = 128
    card: dict[str, Any] | None = None
    image_shape: tuple[int | None, ...]
    num_classes: int
    signatures: Collection[str]
    class_names: list[str] | None = None
    temperature: float | list[float] = 1.0
    activation = "softmax"
    thresholds: list[float] | None = None
    value_range: list[float] | None = None
    resize: Resize = "crop"

    @abstractmethod
    def call(self, signature: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs of a signature for one batch, by name."""

    def predict(self, images: np.ndarray, batch_size: int | None = None) -> dict[str, np.ndarray]:
        """`probabilities` `(n, k)` and `attention_<tap>` `(n, h, w)` of uint8 images `(n, H, W, c)`."""
        return self._batches("serving_default", (PROBABILITIES, ATTENTION), images=images, size=batch_size)

    def explain(self, images: np.ndarray, classes: Sequence[int] | None = None) -> Explanation:
        """Evidence for these classes, by default for the predicted; without evidence where there is none."""
        given = {} if classes is None else {"classes": np.asarray(classes, "int32")}
        signature = "explain_class" if given else "explain"
        outputs = self.predict(images)  # those that explain have attention at the size of the image only
        if signature in self.signatures:
            outputs |= self._batches(signature, "evidence", images=images, **given)
        probabilities = outputs[PROBABILITIES]
        of = (np.asarray(images), probabilities, outputs, self.class_names)
        asked = given.get("classes", probabilities.argmax(-1))
        return Explanation.of_outputs(*of, asked, activation=self.activation)

    def _describe(self, facts: dict[str, Any]) -> None:
        for name in FACTS & facts.keys():
            setattr(self, name, facts[name])

    def _batches(self, signature: str, wanted: str | tuple[str, ...], size: int | None = None, **inputs):
        def call(*batch):
            outputs = self.call(signature, **dict(zip(inputs, batch)))
            return {name: value for name, value in outputs.items() if name.startswith(wanted)}

        return in_batches(call, tuple(inputs.values()), min(size or self.batch, self.batch), progress=True)


class LoadedModel(ServedModel):
    """The SavedModel at a path, loaded into this process."""

    def __init__(self, path: Path):
        import tensorflow as tf

        self.card = read_card(path)
        try:
            self._loaded = tf.saved_model.load(str(path))
            function = self._loaded.signatures["serving_default"]
            self.image_shape = tuple(function.structured_input_signature[1]["images"].shape[1:])
            self.num_classes = function.structured_outputs[PROBABILITIES].shape[-1]
        except (OSError, KeyError, ValueError, RuntimeError, tf.errors.OpError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UserError(f"cannot load the SavedModel {path}: {reason}") from None
        self.signatures = set(self._loaded.signatures)
        # The first cards do not say how images are resized.
        self._describe({"class_names": self.card.get("classes"), "resize": "stretch"} | self.card)

    def call(self, signature, **inputs):
        import tensorflow as tf

        tensors = {name: tf.constant(value) for name, value in inputs.items()}
        outputs = self._loaded.signatures[signature](**tensors)
        return {name: value.numpy() for name, value in sorted(outputs.items())}


class RemoteModel(ServedModel):
    """The model at `url`, `http://HOST:8501/v1/models/NAME`; `/versions/N` or `/labels/LABEL` may follow.

    A refused connection or a busy server is tried again after 1 s and 2 s. A request that the server took and
    did not answer in `timeout` seconds is not, because that would only add to the load.
    """

    def __init__(self, url: str, timeout: float = 30.0):
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
        metadata = self._request("GET", "/metadata")
        try:
            self.signatures = metadata["metadata"]["signature_def"]["signature_def"]
            default = self.signatures["serving_default"]
            self.image_shape = _shape(default["inputs"]["images"])
            self.num_classes = _shape(default["outputs"][PROBABILITIES])[0]
        except (KeyError, TypeError, ValueError, IndexError):
            raise UserError(f"{self.url} describes no model of attention_keras") from None
        if "describe" in self.signatures:  # exports of version 0.2 do not have it
            described = self.call("describe", rows=np.zeros(1, int))
            self._describe({name: value[0].tolist() for name, value in described.items()})

    def call(self, signature, **inputs):
        columns = {name: values.tolist() for name, values in inputs.items()}
        said = self._request("POST", ":predict", {"signature_name": signature, "inputs": columns})
        outputs = said.get("outputs") if isinstance(said, dict) else None
        # An output that is alone comes without its name.
        outputs = outputs if isinstance(outputs, dict) else {PROBABILITIES: outputs}
        return {name: np.asarray(value) for name, value in outputs.items()}

    def _request(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """The JSON of the answer."""
        import requests

        try:
            response = self._session.request(method, self.url + path, json=body, timeout=self.timeout)
            said = response.json()
        except requests.RequestException as error:
            reason = str(error).rpartition(": ")[2].strip("')\"")
            raise UserError(f"{self.url} gave no answer ({reason}); is a server running there?") from None
        if not response.ok:
            reason = said.get("error", said) if isinstance(said, dict) else said
            raise UserError(f"{self.url} refused the request: {reason}")
        return said


def _shape(tensor: dict[str, Any]) -> tuple[int | None, ...]:
    """Without the batch; a side that is free is -1 on the wire."""
    sides = [int(side["size"]) for side in tensor["tensor_shape"]["dim"]]
    return tuple(side if side >= 0 else None for side in sides[1:])
