"""Class attention on a frozen backbone, beside a linear probe and other heads: errors, and maps.

    python -m benchmarks.heads --backbone FILE.keras --data FOLDER_OR_TABLE.csv --preprocess imagenet

`--data` is a folder of images for each class, or a table with the columns path and label, and where they are
known group (images of one group stay in one split) and left, top, right, bottom of the object, in pixels.
The backbone's features are computed once and kept in `--cache`; each seed has a split of its own, 75 % to
train. `--size` rebuilds a convolutional backbone for larger images; `--maps` measures maps on test images.
"""

import argparse
import csv
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
from PIL import Image
from sklearn.model_selection import train_test_split

from attention_keras import attend, load_model
from attention_keras.commands.command_line import exit_code
from attention_keras.heads import LinearHead
from attention_keras.measures.localization import covered_cells, mass_on_object, pointing_game
from attention_keras.measures.perturbation import baselines, perturbation_curves, pixel_order
from attention_keras.models.applications import preprocessing_layer
from attention_keras.models.image_size import for_image_size
from attention_keras.training import class_fit
from attention_keras.training.class_fit import ClassFit, fit_class_head
from benchmarks.one_query import fit_query

TOP, PROBE = "top", "probe (logistic regression)"
TRAIN = 0.75


@dataclass(frozen=True)
class Data:
    """Rows of one set; boxes are `(y0, x0, y1, x1)` as shares of the sides."""

    paths: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    boxes: np.ndarray | None
    names: list[str]
    features: np.ndarray

    @property
    def averaged(self):
        return self.features.mean(axis=(1, 2), keepdims=True)

    def take(self, rows) -> "Data":
        fields = {name: getattr(self, name)[rows] for name in ("paths", "labels", "groups", "features")}
        return replace(self, **fields, boxes=None if self.boxes is None else self.boxes[rows])

    def split(self, seed: int) -> tuple["Data", "Data"]:
        """Three quarters to train, and the rest; groups stay together, and classes keep their shares."""
        groups, first = np.unique(self.groups, return_index=True)
        train, _ = train_test_split(groups, train_size=TRAIN, stratify=self.labels[first], random_state=seed)
        chosen = np.isin(self.groups, train)
        return self.take(np.flatnonzero(chosen)), self.take(np.flatnonzero(~chosen))


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
        files = sorted(path for path in where.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
        rows = [{"path": str(path.relative_to(where)), "label": path.parent.name} for path in files]
        root = where
    else:
        lines = where.read_text(encoding="utf-8").splitlines()
        rows, root = list(csv.DictReader(lines)), where.parent
    names = sorted({row["label"] for row in rows})
    paths = np.array([str(root / row["path"]) for row in rows])
    boxes = None
    if "left" in rows[0]:
        sides = np.array([_open(path).size[::-1] * 2 for path in paths])
        boxes = np.array([[float(row[side]) for side in ("top", "left", "bottom", "right")] for row in rows])
        boxes /= sides
    if cache.exists():
        features = np.load(cache)
    else:
        features = np.concatenate(
            [predict(pixels(paths[i : i + 32], size)) for i in range(0, len(paths), 32)]
        )
        cache.parent.mkdir(parents=True, exist_ok=True)
        np.save(cache, features.astype("float16"))
    return Data(
        paths,
        np.array([names.index(row["label"]) for row in rows]),
        np.array([f"{row['label']}/{row.get('group', i)}" for i, row in enumerate(rows)]),
        boxes,
        names,
        features.astype("float32"),
    )


def pixels(paths, size: int) -> np.ndarray:
    """`(n, size, size, 3)` float32."""
    images = [_open(path).resize((size, size), Image.Resampling.BILINEAR) for path in paths]
    return np.stack([np.asarray(image, "float32") for image in images])


def _open(path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def fit_uniform(train: Data, seed: int) -> ClassFit:
    """The same head with one place, the average: attention is uniform."""
    return fit_class_head({TOP: train.averaged}, *_labels(train), groups=train.groups, seed=seed)


def _labels(data: Data) -> tuple[np.ndarray, int]:
    return data.labels, len(data.names)


def fit_linear(train: Data, seed: int) -> keras.Model:
    """`attend(head="linear")` on the same map, ten epochs."""
    keras.utils.set_random_seed(seed)
    images = keras.Input(train.features.shape[1:], name=TOP)
    backbone = keras.Model(images, keras.layers.Identity(name="features")(images))
    model = attend(backbone, ["features"], len(train.names), head=LinearHead())
    model.compile(keras.optimizers.AdamW(2e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(train.features, train.labels, batch_size=32, epochs=10, verbose=0)
    return model


def errors(train: Data, test: Data, seed: int, linear: bool) -> tuple[dict[str, float], ClassFit]:
    """Test error of every head, in per cent, and the fitted class head."""
    fitted = fit_class_head({TOP: train.features}, *_labels(train), groups=train.groups, seed=seed)
    levels = fitted.level_logits({TOP: test.features})
    logits = {
        PROBE: levels[:, 0],
        "class attention alone": levels[:, 1],
        "**class attention and probe**": np.einsum("nlk,l->nk", levels, fitted.weights),
        "uniform attention and probe": fit_uniform(train, seed).logits({TOP: test.averaged}),
        "one learned query and probe": fit_query(train.features, *_labels(train), train.groups, seed).logits(
            test.features
        ),
    }
    if linear:
        outputs = fit_linear(train, seed).predict(test.features, batch_size=64, verbose=0)
        logits['`attend(head="linear")`'] = outputs["logits"]
    wrong = {name: 100 * float(np.mean(z.argmax(1) != test.labels)) for name, z in logits.items()}
    print(f"seed {seed}: C {fitted.penalty_c}, weights {fitted.weights.round(2)}, {wrong}", file=sys.stderr)
    return wrong, fitted


def maps_of(fitted: ClassFit, features: np.ndarray, classes: np.ndarray) -> dict[str, np.ndarray]:
    """Maps `(n, h, w)` of the asked classes."""
    n, h, w, _ = features.shape
    statistics, (alpha, gamma) = fitted.statistics[TOP], fitted.weights
    x = statistics.standardize(features).reshape(n, h * w, -1)
    local, probe = fitted.attention[TOP](x), x @ fitted.probe.kernel / (h * w)
    attention = class_fit._softmax(local, 1)
    evidence = alpha * probe + gamma * attention * local
    votes = (alpha * fitted.probe.kernel + gamma * fitted.attention[TOP].kernel) / statistics.deviation[
        :, None
    ]

    def asked(every):
        return np.take_along_axis(every, classes[:, None, None], 2)[..., 0]

    found = {
        "evidence": asked(evidence),
        "evidence, less the mean of the classes": asked(evidence) - evidence.mean(2),
        "attention": asked(attention),
        "Grad-CAM": np.maximum(asked(features.reshape(n, h * w, -1) @ votes), 0),
        "CAM of the probe": asked(probe),
        "random": np.random.default_rng(0).uniform(size=(n, h * w)),
    }
    return {name: level.reshape(n, h, w) for name, level in found.items()}


def measure_maps(fitted: ClassFit, test: Data, predict: Callable, size: int, seed: int, count: int):
    """Map -> measure -> its mean over test images, in per cent, for the true class."""
    found: dict[str, dict[str, float]] = {}
    maps = maps_of(fitted, test.features, test.labels)
    for name, levels in maps.items():
        ring = np.ones(levels.shape[1:], bool)
        ring[1:-1, 1:-1] = False
        peaks = levels.reshape(len(levels), -1).argmax(1)
        found[name] = {"outer ring": 100 * float(ring.ravel()[peaks].mean())}
        if test.boxes is not None:
            masks = box_masks(test.boxes, size)
            cells = covered_cells(masks, levels.shape[1:])
            positive = np.maximum(levels, 0)
            share = (positive * cells).sum((1, 2)) / np.maximum(positive.sum((1, 2)), 1e-12)
            found[name] |= {
                "peak in box": 100 * pointing_game(levels, masks),
                "mass in box": 100 * float(share.mean()),
                "mass in box, pixels": 100 * mass_on_object(levels, masks),
            }
    if test.boxes is None and len(test.names) >= 4:
        for name, share in own_quarter(fitted, test, predict, size, seed, count).items():
            found[name]["own quarter"] = share
    rows = np.random.default_rng(seed).permutation(len(test.labels))[:count]
    images = pixels(test.paths[rows], size)
    mean, blurred = baselines(images)
    classes = fitted.logits({TOP: test.features[rows]}).argmax(1)

    def probabilities(batch):
        return class_fit._softmax(fitted.logits({TOP: predict(batch)}), 1)

    for name, levels in maps_of(fitted, test.features[rows], classes).items():
        order = pixel_order(levels, (size, size), seed)
        for measure, start, end in (("insertion", blurred, images), ("deletion", images, mean)):
            areas = perturbation_curves(probabilities, start, end, order, classes, steps=10).areas
            found[name][measure] = 100 * float(np.nanmean(areas))
    return found


def box_masks(boxes: np.ndarray, size: int) -> np.ndarray:
    """`(n, size, size)` bool."""
    masks = np.zeros((len(boxes), size, size), bool)
    for mask, (top, left, bottom, right) in zip(masks, np.round(boxes * size).astype(int)):
        mask[top:bottom, left:right] = True
    return masks


def own_quarter(fitted: ClassFit, test: Data, predict: Callable, size: int, seed: int, count: int):
    """Share of the positive map of a class in its own quarter of mosaics of four classes, in per cent."""
    random, half = np.random.default_rng(seed), size // 2
    images, classes, masks = [], [], np.zeros((count, size, size), bool)
    for place in range(count):
        four = random.permutation(len(test.names))[:4]
        rows = [random.choice(np.flatnonzero(test.labels == label)) for label in four]
        one, two, three, last = pixels(test.paths[rows], half)
        images.append(np.concatenate([np.concatenate([one, two], 1), np.concatenate([three, last], 1)]))
        asked = place % 4
        classes.append(four[asked])
        y, x = asked // 2 * half, asked % 2 * half
        masks[place, y : y + half, x : x + half] = True
    features = np.concatenate([predict(np.stack(images[i : i + 16])) for i in range(0, count, 16)])
    maps = maps_of(fitted, features, np.array(classes))
    return {name: 100 * mass_on_object(levels, masks) for name, levels in maps.items()}


def table(rows: dict[str, list[dict[str, float]]], first: str) -> str:
    """A Markdown table: a row for each name, for each measure the mean over seeds and its standard error."""
    measures = list(
        dict.fromkeys(measure for seeds in rows.values() for values in seeds for measure in values)
    )
    lines = [f"| {first} | {' | '.join(measures)} |", "|---|" + "---:|" * len(measures)]
    for name, seeds in rows.items():
        cells = []
        for measure in measures:
            values = np.array([found[measure] for found in seeds if measure in found])
            error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else float("nan")
            cells.append(f"{values.mean():.1f} ± {error:.1f}" if len(values) else "")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.heads", description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", type=Path, required=True, help="a .keras file, images to a map")
    parser.add_argument("--data", type=Path, required=True, help="a folder of classes, or a table (.csv)")
    parser.add_argument("--preprocess", default="imagenet", help="as attend() takes it; imagenet by default")
    parser.add_argument("--size", type=int, help="side of the images; the backbone's by default")
    parser.add_argument("--seeds", type=int, default=5, help="each with a split of its own")
    parser.add_argument("--cache", type=Path, default=Path("features.npy"), help="file for the features")
    parser.add_argument("--maps", type=int, default=0, help="measure maps, with this many images a seed")
    parser.add_argument("--linear", action="store_true", help="a linear head too, trained for 10 epochs")
    options = parser.parse_args()
    size = options.size or load_model(options.backbone).input_shape[1]
    predict = predictor(options.backbone, size, options.preprocess)
    data = read(options.data, predict, size, options.cache)
    heads, maps = defaultdict(list), defaultdict(list)
    for seed in range(options.seeds):
        train, test = data.split(seed)
        wrong, fitted = errors(train, test, seed, options.linear)
        for name, value in wrong.items():
            heads[name].append({"test error": value, "less the probe's": value - wrong[PROBE]})
        if options.maps:
            for name, values in measure_maps(fitted, test, predict, size, seed, options.maps).items():
                maps[name].append(values)
    print(f"{len(data.labels)} images of {len(data.names)} classes, {size} px, {options.seeds} seeds\n")
    print(table(heads, "head"))
    if maps:
        print("\n" + table(maps, "map of the true class"))


if __name__ == "__main__":
    sys.exit(exit_code(main))
