"""Evidence of a trained classifier, with its own head, beside Grad-CAM.

    python -m benchmarks.explain_classifier --model CLASSIFIER.keras --images FOLDER

The number before the first `_` of a file's name is its class. Only images that the model classifies correctly
count. Own quarter: on grids of four images of different classes, each at the model's own size, the share of
the map above zero that lies on the image asked about. Insertion and deletion: on single images.
"""

import functools
import sys
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from attention_keras import load_model
from attention_keras.commands.command_line import exit_code
from attention_keras.errors import UserError
from attention_keras.evaluation.kinds import compute_maps, kinds_of
from attention_keras.evaluation.subjects.views import logits_view, predict_batches, softmax_batches
from attention_keras.measures.localization import QUARTERS, own_quarter
from attention_keras.models.copies import copy_model
from benchmarks.common import options_of, perturbation, pixels, table

BATCH = 8


def from_logits(model: keras.Model, size: int) -> keras.Model:
    """The network with the same weights for images of another size, its last activation left out."""

    def clone(layer):
        config = layer.get_config()
        if layer is model.layers[-1]:
            config["activation"] = "linear"
        return type(layer).from_config(config)

    images = keras.Input((size, size, model.input_shape[-1]))
    copy = copy_model(model, input_tensors=images, clone_function=clone)
    return keras.Model(copy.input, {"logits": copy.output})


def correct_ones(model: keras.Model, folder: Path) -> tuple[np.ndarray, np.ndarray, int]:
    """Pixels and classes of the images that the model classifies correctly, and how many there are in all."""
    files = sorted(folder.glob("*.jpg"))
    if not files:
        raise UserError(f"--images {folder} has no .jpg files")
    images = pixels(files, model.input_shape[1])
    labels = np.array([int(file.name.split("_")[0]) for file in files])
    right = predict_batches(logits_view(model), images, BATCH).argmax(-1) == labels
    return images[right], labels[right], len(files)


def grids(images: np.ndarray, labels: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Grids of four images, and the class of the one that each is asked about: of grid i, that at i % 4."""
    generator, first = np.random.default_rng(seed), np.unique(labels, return_index=True)[1]
    rows = np.stack([generator.permutation(first)[:QUARTERS] for _ in range(count)])
    four = images[rows]
    halves = [np.concatenate([four[:, left], four[:, left + 1]], axis=2) for left in (0, 2)]
    return np.concatenate(halves, axis=1), labels[rows[np.arange(count), np.arange(count) % QUARTERS]]


def main() -> None:
    parser = options_of("explain_classifier", __doc__)
    parser.add_argument("--model", type=Path, required=True, help="a .keras classifier that ends in softmax")
    parser.add_argument("--images", type=Path, required=True, help="folder of .jpg files: CLASS_name.jpg")
    maps = ["evidence", "Grad-CAM", "random"]
    parser.add_argument("--maps", nargs="+", default=maps, help="kinds of maps, as evaluate names them")
    parser.add_argument("--seeds", type=int, default=3, help="of grids, two or more")
    parser.add_argument("--grids", type=int, default=20, help="for each seed")
    parser.add_argument("--single", type=int, default=20, help="images for insertion and deletion")
    options = parser.parse_args()
    classifier = load_model(options.model)
    side = classifier.input_shape[1]
    single, double = from_logits(classifier, side), from_logits(classifier, 2 * side)
    images, labels, count = correct_ones(single, options.images)
    record = []
    for seed in range(options.seeds):
        asked = np.arange(options.grids) % QUARTERS
        whole, classes = grids(images, labels, options.grids, seed)
        for name, levels in compute_maps(kinds_of(double, options.maps), double, whole, classes).items():
            record.append((name, "own quarter", seed, 100 * own_quarter(levels, asked).mean()))
    rows = np.random.default_rng(0).permutation(len(images))[: options.single]
    predict = functools.partial(softmax_batches, logits_view(single), batch_size=BATCH)
    found = compute_maps(kinds_of(single, options.maps), single, images[rows], labels[rows])
    for (name, measure), areas in perturbation(found, predict, images[rows], labels[rows], seed=0).items():
        record += [(name, measure, image, 100 * area) for image, area in enumerate(areas)]
    print(f"{len(images)} of {count} images are classified correctly; own quarter over", end=" ")
    print(f"{options.seeds} x {options.grids} grids, insertion and deletion over {len(rows)} images\n")
    print(table(pd.DataFrame(record, columns=["row", "measure", "seed", "value"]), "map"))


if __name__ == "__main__":
    sys.exit(exit_code(main))
