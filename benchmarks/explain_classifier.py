"""Evidence of a trained classifier, with its own head, beside Grad-CAM, Score-CAM and Integrated Gradients.

    python -m benchmarks.explain_classifier --model CLASSIFIER.keras --images FOLDER

The number before the first `_` of a file's name is its class. Only images that the model classifies correctly
count. Own quarter: on grids of four images of different classes, each at the model's own size, the share of
the map above zero that lies on the image asked about. Insertion and deletion: on single images. Score-CAM and
Integrated Gradients take dozens of passes for each map, and are measured on the first few of the same.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from attention_keras import load_model
from attention_keras.commands.command_line import exit_code
from attention_keras.errors import UserError
from attention_keras.evaluation.explanations.kinds import compute_maps, kinds_of
from attention_keras.evaluation.subjects.views import logits_view, predict_batches, probability_function
from attention_keras.measures.localization import QUARTERS, own_quarter
from attention_keras.measures.perturbation import baselines, perturbation_curves, pixel_order
from attention_keras.models.copies import copy_model

FAST, SLOW = ["evidence", "Grad-CAM", "random"], ["Score-CAM"]
INTEGRATED = "Integrated Gradients"
BATCH, STEPS = 8, 32
POINTS = 8  # of a curve of insertion or deletion


def from_logits(model: keras.Model, size: int) -> keras.Model:
    """The network with the same weights for images of another size, its last activation left out."""

    def clone(layer):
        config = layer.get_config()
        if layer is model.layers[-1]:
            config["activation"] = "linear"
        return type(layer).from_config(config)

    channels = model.input_shape[-1]
    copy = copy_model(model, input_tensors=keras.Input((size, size, channels)), clone_function=clone)
    return keras.Model(copy.input, {"logits": copy.output})


def integrated_gradients(model: keras.Model, images: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Maps `(n, H, W)` of each target's logit (Sundararajan et al. 2017), on the way from a black image."""
    view = logits_view(model)

    @tf.function(autograph=False)
    def gradients(pixels, target):
        with tf.GradientTape() as tape:
            tape.watch(pixels)
            logits = tf.reduce_sum(view(pixels, training=False)[:, target])
        return tape.gradient(logits, pixels)

    shares = (np.arange(STEPS, dtype="float32") + 0.5).reshape(-1, BATCH, 1, 1, 1) / STEPS
    maps = []
    for image, target in zip(images.astype("float32"), targets):
        steps = [gradients(tf.constant(share * image), tf.constant(target)) for share in shares]
        maps.append((np.concatenate(steps).mean(axis=0) * image).sum(axis=-1))
    return np.stack(maps)


def maps_of(model: keras.Model, images: np.ndarray, targets: np.ndarray, few: int, seed: int = 0) -> dict:
    """Map -> `(n, h, w)`, of the slow ones the first `few`."""
    maps = compute_maps(kinds_of(model, FAST), model, images, targets, batch_size=BATCH, seed=seed)
    maps = {name.removesuffix(" top"): level for name, level in maps.items()}
    if not few:
        return maps
    images, targets = images[:few], targets[:few]
    slow = compute_maps(kinds_of(model, SLOW), model, images, targets, batch_size=BATCH, seed=seed)
    return {**maps, **slow, INTEGRATED: integrated_gradients(model, images, targets)}


def quarters(model: keras.Model, images, labels, options: argparse.Namespace, seed: int) -> dict[str, float]:
    """Mean own quarter of each map on `--grids` grids; each grid is asked about one of its four classes."""
    generator = np.random.default_rng(seed)
    rows = np.stack([
        generator.permutation(np.unique(labels, return_index=True)[1])[:QUARTERS]
        for _ in range(options.grids)
    ])  # fmt: skip
    four = images[rows]
    halves = [np.concatenate([four[:, left], four[:, left + 1]], axis=2) for left in (0, 2)]
    grids = np.concatenate(halves, axis=1)
    asked = np.arange(len(rows)) % QUARTERS
    targets = labels[rows[np.arange(len(rows)), asked]]
    maps = maps_of(model, grids, targets, options.few_grids, seed)
    return {name: float(own_quarter(level, asked[: len(level)]).mean()) for name, level in maps.items()}


def perturbation(model: keras.Model, images: np.ndarray, labels: np.ndarray, few: int) -> dict[str, list]:
    """Map -> insertion and deletion of each image."""
    predict = probability_function(logits_view(model), batch_size=BATCH)
    mean, blurred = baselines(images)
    found = {}
    for name, level in maps_of(model, images, labels, few).items():
        rows = slice(len(level))
        order = pixel_order(level, images.shape[1:3])
        changes = [(blurred[rows], images[rows]), (images[rows], mean[rows])]
        found[name] = [
            perturbation_curves(predict, *pair, order, labels[rows], steps=POINTS).areas for pair in changes
        ]
    return found


def correct_ones(model: keras.Model, folder: Path) -> tuple[np.ndarray, np.ndarray, int]:
    """Pixels and classes of the images that the model classifies correctly, and how many there are in all."""
    files = sorted(folder.glob("*.jpg"))
    if not files:
        raise UserError(f"--images {folder} has no .jpg files")
    size = model.input_shape[1:3]
    images = [keras.utils.img_to_array(keras.utils.load_img(file, target_size=size)) for file in files]
    pixels = np.stack(images)
    labels = np.array([int(file.name.split("_")[0]) for file in files])
    right = predict_batches(logits_view(model), pixels, BATCH).argmax(-1) == labels
    return pixels[right], labels[right], len(files)


def report(options: argparse.Namespace) -> str:
    classifier = load_model(options.model)
    side = classifier.input_shape[1]
    single = from_logits(classifier, side)
    images, labels, count = correct_ones(single, options.images)
    lines = [f"{len(images)} of {count} images are classified correctly."]
    began = time.perf_counter()
    if options.grids:
        double = from_logits(classifier, 2 * side)
        seeds = [quarters(double, images, labels, options, seed) for seed in range(options.seeds)]
        lines += ["\n| map | grids | own quarter (chance 0.25) |", "|---|---:|---:|"]
        for name in seeds[0]:
            grids = options.few_grids if name in (*SLOW, INTEGRATED) else options.grids
            shares = [seed[name] for seed in seeds]
            spread = f"{statistics.mean(shares):.2f} ± {statistics.stdev(shares):.2f}"
            lines.append(f"| {name} | {options.seeds} x {grids} | {spread} |")
    if options.single:
        rows = np.random.default_rng(0).permutation(len(images))[: options.single]
        lines += ["\n| map | images | insertion | deletion |", "|---|---:|---:|---:|"]
        for name, areas in perturbation(single, images[rows], labels[rows], options.few_single).items():
            lines.append(f"| {name} | {len(areas[0])} | {_error(areas[0])} | {_error(areas[1])} |")
    return "\n".join([*lines, f"\n{time.perf_counter() - began:.0f} seconds"])


def _error(values: np.ndarray) -> str:
    return f"{values.mean():.2f} ± {values.std(ddof=1) / len(values) ** 0.5:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.explain_classifier", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--model", type=Path, required=True, help="a .keras classifier that ends in softmax")
    parser.add_argument("--images", type=Path, required=True, help="folder of .jpg files: CLASS_name.jpg")
    parser.add_argument("--seeds", type=int, default=3, help="of grids, two or more")
    parser.add_argument("--grids", type=int, default=20, help="for each seed; 0 measures none")
    parser.add_argument("--few-grids", type=int, default=5, help="of them for the slow maps")
    parser.add_argument("--single", type=int, default=60, help="images for insertion and deletion; 0: none")
    parser.add_argument("--few-single", type=int, default=20, help="of them for the slow maps")
    print(report(parser.parse_args()), flush=True)


if __name__ == "__main__":
    sys.exit(exit_code(main))
