"""Latency and throughput of an export's signatures, beside `model.predict` and beside the unpruned graph.

    python -m benchmarks.serving
    python -m benchmarks.serving --model vgg-att2-concat-dp --width 1

The SavedModel is called in this process: what is measured is the graph, not a network. The calls to be
compared take turns, so that a busy machine slows them alike, and medians are compared. A ratio above 1
says how many times faster the export is. A second table says how many times as long as `classify` each
signature takes: what maps and evidence cost.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from attention_keras import build_model
from attention_keras.commands.command_line import exit_code
from attention_keras.models.prune import prune_dead_branch
from attention_keras.serving.signatures import ServedClassifier
from benchmarks.turns import in_turns

SIGNATURES = ("classify", "serving_default", "explain", "explain_class", "serve_bytes")
BATCHES = (1, 8, 32)


def load_signatures(model, folder: Path) -> dict[str, Callable]:
    """The model's signatures after a round trip through a SavedModel."""
    served = ServedClassifier(model, [str(k) for k in range(model.output["logits"].shape[-1])])
    tf.saved_model.save(served, str(folder), signatures=served.signatures())
    # The loaded object must live as long as its functions: it holds the variables.
    loaded = tf.saved_model.load(str(folder))
    return {name: lambda f=f, loaded=loaded, **value: f(**value) for name, f in loaded.signatures.items()}


def medians(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each call, measured in turns."""
    for call in calls.values():
        call()
        call()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for name in in_turns(list(calls), rounds):
        began = time.perf_counter()
        calls[name]()
        seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}


def inputs(signature: str, images: np.ndarray) -> dict[str, tf.Tensor]:
    """What the signature takes: the images, with a class for each, or each as a JPEG file."""
    if signature == "serve_bytes":
        return {"image_bytes": tf.stack([tf.io.encode_jpeg(image) for image in images])}
    classes = {"classes": tf.zeros(len(images), tf.int32)} if signature == "explain_class" else {}
    return {"images": tf.constant(images), **classes}


def measure(model, signature: str, batch: int, rounds: int, pruned: dict, whole: dict) -> dict[str, float]:
    """Seconds of one batch: the export, the export of the unpruned model, and Keras."""
    images = random_images(model, batch)
    value, pixels = inputs(signature, images), images.astype("float32")
    return medians(
        {
            "export": lambda: pruned[signature](**value),
            "unpruned": lambda: whole[signature](**value),
            "predict": lambda: model.predict(pixels, batch_size=batch, verbose=0),
        },
        rounds,
    )


def random_images(model, batch: int) -> np.ndarray:
    """uint8 images of the model's size."""
    shape = (batch, *model.inputs[0].shape[1:])
    return np.random.default_rng(0).integers(0, 256, shape, dtype="uint8")


def beside_classify(model, batch: int, rounds: int, served: dict) -> dict[str, float]:
    """Seconds of each signature that takes images, all in one run."""
    images = random_images(model, batch)
    values = {name: inputs(name, images) for name in SIGNATURES if name in served and name != "serve_bytes"}
    return medians(
        {name: lambda name=name, value=value: served[name](**value) for name, value in values.items()}, rounds
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="vgg-att2-concat-pc", help="name of the network")
    parser.add_argument("--width", type=float, default=0.25, help="factor on its channel counts")
    parser.add_argument("--size", type=int, default=32, help="height and width of the images")
    parser.add_argument("--rounds", type=int, default=30, help="measurements of each case")
    options = parser.parse_args()
    model = build_model(options.model, (options.size, options.size, 3), width=options.width)
    lean = prune_dead_branch(model)
    print(
        f"TensorFlow {tf.__version__}, {options.model}, width {options.width:g}, "
        f"images of {options.size}x{options.size}: "
        f"{lean.count_params():,} parameters exported of {model.count_params():,}; "
        f"medians of {options.rounds}\n"
    )
    print("| signature | batch | ms | images/s | model.predict takes | unpruned takes |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        pruned = load_signatures(lean, Path(folder) / "pruned")
        whole = load_signatures(model, Path(folder) / "whole")
        for signature in (name for name in SIGNATURES if name in pruned):
            for batch in BATCHES:
                took = measure(model, signature, batch, options.rounds, pruned, whole)
                ours = took["export"]
                print(
                    f"| {signature} | {batch} | {1000 * ours:.1f} | {batch / ours:,.0f} "
                    f"| {took['predict'] / ours:.1f}x | {took['unpruned'] / ours:.2f}x |",
                    flush=True,
                )
        names = [name for name in SIGNATURES[1:] if name in pruned and name != "serve_bytes"]
        print(f"\n| batch | classify, ms | {' | '.join(names)} |")
        print(f"|---|---|{'---|' * len(names)}")
        for batch in BATCHES:
            took = beside_classify(model, batch, options.rounds, pruned)
            base = took.pop("classify")
            shares = " | ".join(f"{seconds / base:.3f}x" for seconds in took.values())
            print(f"| {batch} | {1000 * base:.1f} | {shares} |", flush=True)


if __name__ == "__main__":
    sys.exit(exit_code(main))
