"""Latency and throughput of an export's signatures, beside `model.predict` and beside the unpruned graph.

    python -m benchmarks.serving
    python -m benchmarks.serving --model vgg-att2-concat-dp --width 1

The SavedModel is called in this process: what is measured is the graph, not a network. The calls to be
compared take turns, so that a busy machine slows them alike, and medians are compared. A ratio above 1
says how many times faster the export is; the last column says how many times as long as `classify` it takes.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from attention_keras import build_model
from attention_keras.commands.command_line import exit_code
from attention_keras.models.parts import prune_dead_branch
from attention_keras.serving.signatures import ServedClassifier
from benchmarks.common import medians, options_of

SIGNATURES = ("classify", "serving_default", "explain", "explain_class", "serve_bytes")
BATCHES = (1, 8, 32)


def load_signatures(model, folder: Path) -> dict[str, Callable]:
    """The model's signatures after a round trip through a SavedModel."""
    served = ServedClassifier(model, [str(k) for k in range(model.output["logits"].shape[-1])])
    tf.saved_model.save(served, str(folder), signatures=served.signatures())
    # The loaded object must live as long as its functions: it holds the variables.
    loaded = tf.saved_model.load(str(folder))
    signatures = {name: f for name, f in loaded.signatures.items() if name in SIGNATURES}
    return {name: lambda f=f, loaded=loaded, **value: f(**value) for name, f in signatures.items()}


def inputs(signature: str, images: np.ndarray) -> dict[str, tf.Tensor]:
    """What the signature takes: the images, with a class for each, or each as a JPEG file."""
    if signature == "serve_bytes":
        return {"image_bytes": tf.stack([tf.io.encode_jpeg(image) for image in images])}
    classes = {"classes": tf.zeros(len(images), tf.int32)} if signature == "explain_class" else {}
    return {"images": tf.constant(images), **classes}


def measure(model, signature: str, batch: int, rounds: int, pruned: dict, whole: dict) -> dict[str, float]:
    """Seconds of one batch: the export, its `classify`, the export of the unpruned model, and Keras."""
    shape = (batch, *model.inputs[0].shape[1:])
    images = np.random.default_rng(0).integers(0, 256, shape, dtype="uint8")
    value, plain, pixels = inputs(signature, images), inputs("classify", images), images.astype("float32")
    calls = {
        "export": lambda: pruned[signature](**value),
        "classify": lambda: pruned["classify"](**plain),
        "unpruned": lambda: whole[signature](**value),
        "predict": lambda: model.predict(pixels, batch_size=batch, verbose=0),
    }
    return medians(calls, rounds)


def main(words: list[str] | None = None) -> None:
    parser = options_of("serving", __doc__)
    parser.add_argument("--model", default="vgg-att2-concat-pc", help="name of the network")
    parser.add_argument("--width", type=float, default=0.25, help="factor on its channel counts")
    parser.add_argument("--rounds", type=int, default=30, help="measurements of each case")
    options = parser.parse_args(words)
    model = build_model(options.model, width=options.width)
    lean = prune_dead_branch(model)
    print(f"TensorFlow {tf.__version__}, {options.model}, width {options.width:g}", end=", ")
    print(f"medians of {options.rounds}", end=": ")
    print(f"{lean.count_params():,} parameters exported of {model.count_params():,}\n")
    print("| signature | batch | ms | images/s | predict takes | unpruned takes | beside classify |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        pruned, whole = (load_signatures(m, Path(folder) / str(id(m))) for m in (lean, model))
        for signature in (name for name in SIGNATURES if name in pruned):
            for batch in BATCHES:
                took = measure(model, signature, batch, options.rounds, pruned, whole)
                ours = took["export"]
                ratios = f"{took['predict'] / ours:.1f}x | {took['unpruned'] / ours:.2f}x"
                speed = f"{1000 * ours:.1f} | {batch / ours:,.0f}"
                print(f"| {signature} | {batch} | {speed} | {ratios} | {ours / took['classify']:.3f}x |")


if __name__ == "__main__":
    sys.exit(exit_code(main))
