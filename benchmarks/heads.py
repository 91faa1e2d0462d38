"""Class attention on a frozen backbone, beside a linear probe and other heads: errors, and maps.

    python -m benchmarks.heads --backbone FILE.keras --data FOLDER_OR_TABLE.csv --preprocess imagenet

`--data` is a folder of images for each class, or a table with the columns path and label, and where they are
known group (images of one group stay in one split) and left, top, right, bottom of the object, in pixels.
The backbone's features are computed once and kept in `--cache`; each seed has a split of its own, 75 % to
train. `--size` rebuilds a convolutional backbone for larger images; `--maps` measures maps on test images.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from scipy.special import softmax
from sklearn.model_selection import train_test_split

from attention_keras import load_model
from attention_keras.commands.command_line import exit_code
from attention_keras.measures.localization import (
    covered_cells,
    make_mosaics,
    own_quarter,
    pointing_game,
)
from attention_keras.models.copies import for_image_size
from attention_keras.models.pretrained import preprocessing_layer
from attention_keras.training.class_fit import ClassFit, fit_class_head
from benchmarks.common import MEASURES, open_rgb, options_of, perturbation, pixels, table
from benchmarks.one_query import fit_query

TOP, PROBE, ATTENTION, BOTH = (
    "top",
    "probe (logistic regression)",
    "class attention alone",
    "**class attention and probe**",
)
TRAIN, MOSAICS, POINTS = 0.75, 48, 8
BOX = ["top", "left", "bottom", "right"]
PICTURES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class Data:
    """Rows `path, label, group`, where they are known the object's box as shares of the sides; features."""

    rows: pd.DataFrame
    names: list[str]
    features: np.ndarray

    @property
    def labels(self) -> np.ndarray:
        return self.rows.label.map(self.names.index).to_numpy()

    @property
    def groups(self) -> np.ndarray:
        return self.rows.group.to_numpy(str)

    def split(self, seed: int) -> tuple["Data", "Data"]:
        """Three quarters to train, and the rest; groups stay together, and classes keep their shares."""
        groups, first = np.unique(self.groups, return_index=True)
        train, _ = train_test_split(groups, train_size=TRAIN, stratify=self.labels[first], random_state=seed)
        chosen = np.isin(self.groups, train)
        return tuple(Data(self.rows[kept], self.names, self.features[kept]) for kept in (chosen, ~chosen))


def predictor(file: Path, size: int, preprocess: str) -> Callable[[np.ndarray], np.ndarray]:
    """From pixels `(b, size, size, 3)` to the map of the backbone in a file."""
    backbone = load_model(file)
    if size != backbone.input_shape[1]:
        backbone = for_image_size(backbone, (size, size))
    images = keras.Input((size, size, 3))
    layer = preprocessing_layer(preprocess) or keras.layers.Identity()
    whole = keras.Model(images, backbone(layer(images)))
    return lambda batch: whole.predict(batch, verbose=0)


def read(where: Path, predict: Callable, size: int, cache: Path) -> Data:
    """The rows of a folder or a table, with the features of every image."""
    if where.is_dir():
        files = sorted(file for file in where.rglob("*") if file.suffix.lower() in PICTURES)
        rows = pd.DataFrame({"path": map(str, files), "label": [file.parent.name for file in files]})
    else:
        rows = pd.read_csv(where, dtype={"label": str, "group": str})
        rows["path"] = [str(where.parent / path) for path in rows.path]
    group = rows.group if "group" in rows else rows.index.astype(str)
    rows["group"] = rows.label + "/" + group
    if BOX[0] in rows:
        rows[BOX] /= np.array([open_rgb(path).size[::-1] * 2 for path in rows.path])
    if cache.exists():
        features = np.load(cache)
    else:
        parts = [predict(pixels(rows.path[i : i + 32], size)) for i in range(0, len(rows), 32)]
        features = np.concatenate(parts).astype("float16")
        cache.parent.mkdir(parents=True, exist_ok=True)
        np.save(cache, features)
    return Data(rows, sorted(set(rows.label)), features.astype("float32"))


def fit_heads(train: Data, test: Data, seed: int) -> tuple[dict[str, np.ndarray], ClassFit]:
    """Test logits of every head, and the class head. Uniform attention is one place, the average."""
    asked = {"labels": train.labels, "num_classes": len(train.names), "groups": train.groups, "seed": seed}
    fitted = fit_class_head({TOP: train.features}, **asked)
    seen, unseen = (data.features.mean(axis=(1, 2), keepdims=True) for data in (train, test))
    weights = {PROBE: np.array([1, 0]), ATTENTION: np.array([0, 1]), BOTH: fitted.weights}
    logits = {name: replace(fitted, weights=w).logits({TOP: test.features}) for name, w in weights.items()}
    logits |= {
        "uniform attention and probe": fit_class_head({TOP: seen}, **asked).logits({TOP: unseen}),
        "one learned query and probe": fit_query(train.features, **asked).logits(test.features),
    }
    return logits, fitted


def maps_of(fitted: ClassFit, features: np.ndarray, classes: np.ndarray):
    """Maps `(n, h, w)` of the asked classes by name."""
    n, h, w, _ = features.shape
    statistics, (alpha, gamma) = fitted.statistics[TOP], fitted.weights
    x = statistics.standardize(features).reshape(n, h * w, -1)
    local, probe = fitted.attention[TOP](x), x @ fitted.probe.kernel / (h * w)
    attention = softmax(local, 1)
    evidence = alpha * probe + gamma * attention * local
    votes = alpha * fitted.probe.kernel + gamma * fitted.attention[TOP].kernel
    gradient = features.reshape(n, h * w, -1) @ (votes / statistics.deviation[:, None])

    def asked(every):
        return np.take_along_axis(every, classes[:, None, None], 2)[..., 0]

    found = {
        "**evidence**": asked(evidence) - evidence.mean(2),
        "attention": asked(attention),
        "Grad-CAM": np.maximum(asked(gradient), 0),
        "the probe's own (CAM)": asked(probe),
        "random": np.random.default_rng(0).uniform(size=(n, h * w)),
    }
    return {name: level.reshape(n, h, w) for name, level in found.items()}


def measure_maps(fitted: ClassFit, test: Data, predict: Callable, size: int, seed: int, count: int):
    """Map -> measure -> its mean over test images, in per cent, for the true class."""
    maps = maps_of(fitted, test.features, test.labels)
    ring = np.pad(np.zeros(np.subtract(test.features.shape[1:3], 2), bool), 1, constant_values=True)
    peaks = {name: levels.reshape(len(levels), -1).argmax(1) for name, levels in maps.items()}
    found = {name: {"peak in outer ring": ring.ravel()[peak].mean()} for name, peak in peaks.items()}
    if BOX[0] in test.rows:
        masks, size_of_map = box_masks(test.rows[BOX].to_numpy(), size), test.features.shape[1:3]
        right = fitted.logits({TOP: test.features}).argmax(1) == test.labels
        for name, levels in maps.items():
            shares = np.maximum(levels, 0) / np.maximum(levels, 1e-12).sum((1, 2), keepdims=True)
            inside = (shares * covered_cells(masks, size_of_map)).sum((1, 2))
            for which, of in (("", slice(None)), (", right answers", right)):
                found[name][f"peak in box{which}"] = pointing_game(levels[of], masks[of])
                found[name][f"mass in box{which}"] = inside[of].mean()
    elif len(test.names) >= 4:
        mosaics = make_mosaics(pixels(test.rows.path, size), test.labels, MOSAICS, seed)
        quarters = np.arange(MOSAICS) % 4
        classes = mosaics.classes[np.arange(MOSAICS), quarters]
        for name, levels in maps_of(fitted, predict(mosaics.images), classes).items():
            found[name]["own quarter"] = own_quarter(levels, quarters).mean()
    rows = np.random.default_rng(seed).permutation(len(test.rows))[:count]
    images, features = pixels(test.rows.path.iloc[rows], size), test.features[rows]
    classes = fitted.logits({TOP: features}).argmax(1)

    def probabilities(batch):
        return softmax(fitted.logits({TOP: predict(batch)}), 1)

    maps = maps_of(fitted, features, classes)
    for (name, measure), areas in perturbation(maps, probabilities, images, classes, seed).items():
        found[name][measure] = np.nanmean(areas)
    return {name: {k: 100 * float(v) for k, v in values.items()} for name, values in found.items()}


def box_masks(boxes: np.ndarray, size: int) -> np.ndarray:
    """`(n, size, size)` bool."""
    masks = np.zeros((len(boxes), size, size), bool)
    for mask, (top, left, bottom, right) in zip(masks, np.round(boxes * size).astype(int)):
        mask[top:bottom, left:right] = True
    return masks


def main() -> None:
    parser = options_of("heads", __doc__)
    parser.add_argument("--backbone", type=Path, required=True, help="a .keras file, images to a map")
    parser.add_argument("--data", type=Path, required=True, help="a folder of classes, or a table (.csv)")
    parser.add_argument("--preprocess", default="imagenet", help="as attend() takes it; imagenet by default")
    parser.add_argument("--size", type=int, help="side of the images; the backbone's by default")
    parser.add_argument("--seeds", type=int, default=5, help="each with a split of its own")
    parser.add_argument("--cache", type=Path, default=Path("features.npy"), help="file for the features")
    parser.add_argument("--maps", type=int, default=0, help="measure maps, with this many images a seed")
    parser.add_argument("--record", type=Path, help="a .csv file that gets the numbers of every seed")
    parser.add_argument("--name", help="of the data in that file; the name of the folder or table by default")
    options = parser.parse_args()
    size = options.size or load_model(options.backbone).input_shape[1]
    predict = predictor(options.backbone, size, options.preprocess)
    data = read(options.data, predict, size, options.cache)
    found = []
    for seed in range(options.seeds):
        train, test = data.split(seed)
        logits, fitted = fit_heads(train, test, seed)
        wrong = {name: 100 * float(np.mean(z.argmax(1) != test.labels)) for name, z in logits.items()}
        for name, error in wrong.items():
            found += [
                (name, "test error", seed, error),
                (name, "less the probe's", seed, error - wrong[PROBE]),
            ]
        if options.maps:
            maps = measure_maps(fitted, test, predict, size, seed, options.maps)
            found += [(name, k, seed, v) for name, values in maps.items() for k, v in values.items()]
        print(f"seed {seed}: C {fitted.penalty_c}, weights {fitted.weights.round(2)}", file=sys.stderr)
    record = pd.DataFrame(found, columns=MEASURES)
    print(f"{len(data.rows)} images of {len(data.names)} classes, {size} px, {options.seeds} seeds\n")
    print(table(record[record.row.isin(logits)], "head"))
    if options.maps:
        print("\n" + table(record[~record.row.isin(logits)], "map of the true class"))
    if options.record:
        record.insert(0, "set", options.name or options.data.stem)
        if options.record.exists():
            before = pd.read_csv(options.record)
            record = pd.concat([before[before.set != record.set[0]], record])
        record.round(3).to_csv(options.record, index=False)


if __name__ == "__main__":
    sys.exit(exit_code(main))
