"""Small objects in large images: the image shrunk, its tiles averaged, attended to, and the best of them.

    python -m benchmarks.large_images --backbone FILE.keras --objects FOLDER --backgrounds FOLDER

Photographs of `--objects`, a folder for each class, are pasted at a quarter to a sixteenth of the side on
photographs of other things, enlarged to 1,344 pixels; so the box of the object is known. Features are
computed once and kept in `--cache`; each seed has a split of its own, 75 % to train.
"""

import argparse
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from PIL import Image
from scipy.special import softmax
from sklearn.model_selection import train_test_split

from attention_keras import load_model, tiled
from attention_keras.commands.command_line import exit_code
from attention_keras.models.pretrained import preprocessing_layer
from attention_keras.training.class_fit import averages, fit_class_head
from attention_keras.training.probe_fit import fit_probe
from benchmarks.common import open_rgb, options_of, table

SIDE = 1344


def scenes(objects: Path, backgrounds: Path, each: int):
    """Pixels, label and box `(left, top, right, bottom)` of each image; `each` images of every class."""
    random, others = np.random.default_rng(0), sorted(backgrounds.rglob("*.jpg"))
    for label, folder in enumerate(sorted(path for path in objects.iterdir() if path.is_dir())):
        for file in sorted(folder.iterdir())[:each]:
            side = round(SIDE / 4 ** random.uniform(1, 2))
            left, top = random.integers(0, SIDE - side, 2)
            scene = open_rgb(others[random.integers(len(others))]).resize(
                (SIDE, SIDE), Image.Resampling.BICUBIC
            )
            scene.paste(open_rgb(file).resize((side, side), Image.Resampling.LANCZOS), (left, top))
            yield scene, label, (left, top, left + side, top + side)


def read(options: argparse.Namespace) -> dict[str, np.ndarray]:
    """Labels, boxes, features of the shrunk and of the tiled image, and the seconds that each took."""
    if options.cache.exists():
        with np.load(options.cache) as kept:
            return dict(kept)
    backbone, images = load_model(options.backbone), keras.Input((None, None, 3))
    whole = keras.Model(
        images, tiled(backbone, margin=options.margin)(preprocessing_layer("imagenet")(images))
    )
    found: dict[str, list] = {name: [] for name in ("labels", "boxes", "shrunk", "tiles", "seconds")}
    for scene, label, box in scenes(options.objects, options.backgrounds, options.each):
        small = np.asarray(scene.resize(backbone.input_shape[1:3], Image.Resampling.BILINEAR))
        times = [time.perf_counter()]
        for name, pixels in (("shrunk", small), ("tiles", np.asarray(scene))):
            found[name].append(whole.predict_on_batch(pixels[None].astype("float32"))[0].astype("float16"))
            times.append(time.perf_counter())
        for name, value in (("labels", label), ("boxes", box), ("seconds", np.diff(times))):
            found[name].append(value)
    data = {name: np.array(values) for name, values in found.items()}
    np.savez(options.cache, **data)
    return data


def answers(data: dict[str, np.ndarray], train: np.ndarray, test: np.ndarray, seed: int):
    """Approach, its logits `(n, k)` of the test images, and its maps `(n, h, w, k)`."""
    labels, classes = data["labels"], int(data["labels"].max()) + 1
    for name, features in (
        ("whole image shrunk", data["shrunk"]),
        ("**tiles with attention and probe**", data["tiles"]),
    ):
        fitted = fit_class_head({"top": features[train]}, labels[train], classes, seed=seed)
        logits, maps, probed = fitted.logits({"top": features[test]}), [], []
        for row in test:
            x = fitted.statistics["top"].standardize(features[row].astype("float32"))
            local, votes = fitted.attention["top"](x), x @ fitted.probe.kernel / x[..., 0].size
            maps.append(fitted.weights @ [votes.ravel(), (softmax(local, axis=(0, 1)) * local).ravel()])
            probed.append(votes)
        yield name, logits, np.reshape(maps, np.shape(probed))
    yield "tiles averaged (probe)", np.sum(probed, axis=(1, 2)) + fitted.probe.bias, np.array(probed)
    side = data["shrunk"].shape[1]
    columns = data["tiles"].shape[1] // side
    cut = data["tiles"].reshape(len(labels), columns, side, columns, side, -1).swapaxes(2, 3)
    each = averages(cut.reshape(-1, side, side, cut.shape[-1])).reshape(len(labels), columns**2, -1)
    x = (each - each[train].mean((0, 1))) / (each[train].std((0, 1)) + 1e-3)
    repeated = np.repeat(labels[train], columns**2)
    probe, *_ = fit_probe(x[train].reshape(-1, x.shape[-1]), repeated, classes, np.full(len(repeated), -1))
    said = probe(x[test]) - probe(x[test]).mean(-1, keepdims=True)
    yield "best tile", said.max(1), said.reshape(len(test), columns, columns, -1)


def measure(data: dict[str, np.ndarray], seed: int):
    """Approach, measure and value: error and peaks of the true class in the box, in %; and seconds."""
    labels = data["labels"]
    train, test = train_test_split(
        np.arange(len(labels)), train_size=0.75, stratify=labels, random_state=seed
    )
    left, top, right, bottom = data["boxes"][test].T
    for name, logits, maps in answers(data, train, test, seed):
        maps = np.take_along_axis(maps - maps.mean(-1, keepdims=True), labels[test][:, None, None, None], -1)
        rows, columns = np.unravel_index(maps.reshape(len(test), -1).argmax(1), maps.shape[1:3])
        x, y = (columns + 0.5) * SIDE / maps.shape[2], (rows + 0.5) * SIDE / maps.shape[1]
        hit = (left <= x) & (x < right) & (top <= y) & (y < bottom)
        yield name, "test error", 100 * float(np.mean(logits.argmax(1) != labels[test]))
        yield name, "peak in box", 100 * float(hit.mean())
        yield name, "seconds an image", float(np.median(data["seconds"][:, int("shrunk" not in name)]))


def main() -> None:
    parser = options_of("large_images", __doc__)
    parser.add_argument("--backbone", type=Path, required=True, help="a .keras file, images to a map")
    parser.add_argument("--objects", type=Path, required=True, help="a folder of photographs for each class")
    parser.add_argument("--backgrounds", type=Path, required=True, help="photographs of other things")
    parser.add_argument("--margin", type=int, default=0, help="pixels of a tile's side that are left out")
    parser.add_argument("--each", type=int, default=30, help="images of every class")
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[0, 1, 2], help="each with a split of its own"
    )
    parser.add_argument("--cache", type=Path, default=Path("large_images.npz"), help="file for the features")
    options = parser.parse_args()
    data = read(options)
    found = [(*entry, seed) for seed in options.seeds for entry in measure(data, seed)]
    record = pd.DataFrame(found, columns=["row", "measure", "value", "seed"])
    print(f"{record.to_csv(index=False)}\n{table(record, 'approach')}")


if __name__ == "__main__":
    sys.exit(exit_code(main))
