"""What the maps of attention on a trained backbone are worth, beside Grad-CAM and its kin.

    python -m benchmarks.explain_backbone --backbone FILE.keras --folder PHOTOS --taps block5c_add block6d_add

Trains `attend()` on the frozen backbone, as `benchmarks.attend_backbone` does, and measures its maps on the
first `--images` test images of each seed: insertion and deletion for the predicted class, and on mosaics of
four photographs the share of the map on the one asked about. `--local-norm` compares normalisations.
`--figure` draws the test images with their attention and evidence.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import keras
import numpy as np
from PIL import Image
from tqdm import tqdm

from attention_keras import attend, load_model
from attention_keras.commands.command_line import exit_code
from attention_keras.drawing.images import map_grid
from attention_keras.evaluation.explanations.kinds import kinds_of
from attention_keras.evaluation.explanations.own import attention_of, total_evidence
from attention_keras.evaluation.tasks.map_scores import score_maps
from attention_keras.heads import LinearHead
from benchmarks.attend_backbone import (
    Features,
    arguments,
    chosen_taps,
    extract,
    preprocess,
    read_folder,
    split,
    train_head,
)

MEASURES = ("insertion", "deletion", "own_quarter")
DRAWN = 20


def whole_model(
    backbone: keras.Model, trained: keras.Model, options: argparse.Namespace, **choices
) -> keras.Model:
    """`attend()` from pixels on, with the head of `trained`, which was trained on the backbone's features."""
    classes = trained.output["logits"].shape[-1]
    model = attend(backbone, chosen_taps(options), classes, preprocess=preprocess(options), **choices)
    for layer in trained.layers:
        if layer.weights:
            model.get_layer(layer.name).set_weights(layer.get_weights())
    return model


def measure(
    backbone: keras.Model, features: Features, images: np.ndarray, options: argparse.Namespace, norm: str
) -> dict[str, dict[str, list[float]]]:
    """Map -> measure -> its mean over the images, for each seed."""
    found: dict[str, dict[str, list[float]]] = {}
    for seed in tqdm(range(options.seeds), desc=norm, unit=" seed", leave=False):
        head = LinearHead(local_norm=norm)
        trained = train_head(features, seed, epochs=options.epochs, head=head)
        model = whole_model(backbone, trained, options, head=head)
        _, test = split(features.labels, seed)
        rows = test[: options.images]
        kinds = kinds_of(model, options.maps)
        labels = features.labels[rows]
        scores = score_maps(model, images[rows], labels, kinds=kinds, batch_size=16, seed=seed).values
        for name, score in scores.items():
            for measure in MEASURES:
                value = score[measure] if measure == "own_quarter" else score[measure][0]
                found.setdefault(name, {}).setdefault(measure, []).append(value)
        if options.figure and seed == 0:
            draw(model, images[test[:DRAWN]], options.figure / f"{norm}.png")
    return found


def draw(model: keras.Model, images: np.ndarray, path: Path) -> None:
    """The images with the attention of each tap and the evidence for the predicted class."""
    predicted = model.predict(images, batch_size=16, verbose=0)["logits"].argmax(-1)
    columns = attention_of(model, images, batch_size=16) | {
        "evidence": total_evidence(model, images, predicted, batch_size=16)
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = images.astype("uint8")
    Image.fromarray(map_grid(pixels, columns, [{}] * len(images), signed=["evidence"])).save(path)


def report(options: argparse.Namespace) -> str:
    """Run everything; the Markdown table."""
    backbone = load_model(options.backbone)
    size = tuple(side or options.size for side in backbone.input_shape[1:3])
    images, labels, _ = read_folder(options.folder, size)
    features = extract(backbone, chosen_taps(options), preprocess(options), images, labels)
    lines = [
        f"{options.images} test images of each of {options.seeds} seeds and splits; mean over images, then "
        "mean and standard deviation over seeds\n",
        "| local_norm | map | insertion (higher is better) | deletion (lower is better) | own quarter |",
        "|---|---|---:|---:|---:|",
    ]
    for norm in options.local_norm:
        began = time.perf_counter()
        for name, found in measure(backbone, features, images, options, norm).items():
            cells = " | ".join(_spread(found[measure]) for measure in MEASURES)
            lines.append(f"| {norm} | {name} | {cells} |")
            print(lines[-1], file=sys.stderr, flush=True)
        print(f"{norm}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    return "\n".join(lines)


def _spread(values: list[float | None]) -> str:
    values = [value for value in values if value is not None]  # too few classes for a mosaic
    if not values:
        return ""
    if len(values) < 2:
        return f"{values[0]:.3f}"
    return f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}"


def main() -> None:
    parser = arguments("explain_backbone", __doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=32, help="test images measured for each seed")
    parser.add_argument("--local-norm", nargs="+", default=["image"], help="normalisations to compare")
    parser.add_argument("--maps", nargs="+", default=[], help="kinds of maps; all by default")
    parser.add_argument("--figure", type=Path, help="folder for a picture of each normalisation")
    print(report(parser.parse_args()), flush=True)


if __name__ == "__main__":
    sys.exit(exit_code(main))
