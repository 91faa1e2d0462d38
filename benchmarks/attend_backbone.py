"""Attention on a trained backbone, beside a linear classifier on its averaged features.

    python -m benchmarks.attend_backbone --backbone FILE.keras --folder PHOTOS --taps block5c_add block6d_add

`--folder` has a folder of images for each class. The backbone is frozen: the features of its taps are
computed once, and everything is trained on them. Each seed has a stratified split of its own: 70 % to train,
20 % to test, and 10 % that nothing looks at. `attend()` is called with nothing but defaults; `--compare` adds
its other scores, normalisations and heads.
"""

import argparse
import dataclasses
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from attention_keras import attend, load_model
from attention_keras.commands.command_line import exit_code
from attention_keras.data.images import EXTENSIONS
from attention_keras.errors import UserError
from attention_keras.heads import LinearHead, PaperHead
from attention_keras.models.applications import preprocessing_layer
from attention_keras.models.maps import averaged_map, global_features, local_features
from attention_keras.models.taps import find_taps

TRAIN, TEST = 0.7, 0.2
TEST_BATCH = 64


@dataclass(frozen=True)
class Features:
    """What the frozen backbone says about every image.

    Attributes:
        taps: name -> local features `(n, h, w, c)`.
        top: the map `(n, h, w, d)` whose average is g, or g itself `(n, d)`.
        labels: `(n,)`.
    """

    taps: dict[str, np.ndarray]
    top: np.ndarray
    labels: np.ndarray

    def averaged_top(self) -> np.ndarray:
        """g, `(n, d)`."""
        return self.top.mean(axis=(1, 2)) if self.top.ndim == 4 else self.top

    def pooled(self) -> np.ndarray:
        """The taps averaged over their maps, side by side."""
        return np.concatenate([features.mean(axis=(1, 2)) for features in self.taps.values()], axis=1)


def read_folder(folder: Path, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """RGB pixels `(n, h, w, 3)`, labels, and the classes' names."""
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []
    files = [(f, k) for k, name in enumerate(names) for f in sorted((folder / name).iterdir())]
    files = [(file, k) for file, k in files if file.suffix.lower() in EXTENSIONS]
    if len(names) < 2 or not files:
        raise UserError(f"--folder {folder} needs a folder of images for each of at least two classes")
    images = [keras.utils.img_to_array(keras.utils.load_img(f, target_size=size)) for f, _ in files]
    return np.stack(images), np.array([k for _, k in files]), names


def extract(backbone: keras.Model, taps, preprocess, images: np.ndarray, labels: np.ndarray) -> Features:
    """Run the backbone once over all images."""
    model, local, g = find_taps(backbone, taps, None)
    maps = {tap: local_features(tensor, tap) for tap, tensor in local.items()}
    (g,) = keras.tree.flatten(g)
    averaged = averaged_map(g)
    top = global_features(g, "g") if averaged is None else local_features(averaged, "averaged")
    part = keras.Model(model.input, {"top": top, "taps": maps})
    pixels = images if preprocess is None else preprocess(images)
    answers = part.predict(np.asarray(pixels), batch_size=16, verbose=0)
    return Features(answers["taps"], answers["top"], labels)


def split(labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices to train on and to test on."""
    train, rest = train_test_split(
        np.arange(len(labels)), train_size=TRAIN, stratify=labels, random_state=seed
    )
    _, test = train_test_split(rest, test_size=TEST / (1 - TRAIN), stratify=labels[rest], random_state=seed)
    return train, test


def linear_probe(pooled: np.ndarray, labels: np.ndarray, seed: int) -> float:
    """Test error of logistic regression on standardised features, in per cent."""
    train, test = split(labels, seed)
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
    probe.fit(pooled[train], labels[train])
    return 100 * float(np.mean(probe.predict(pooled[test]) != labels[test]))


def train_head(features: Features, seed: int, *, epochs: int, **choices) -> keras.Model:
    """`attend()` on the frozen features, trained: inputs are the taps and g."""
    train, _ = split(features.labels, seed)
    keras.utils.set_random_seed(seed)
    inputs = {tap: keras.Input(x.shape[1:], name=f"tap_{tap}") for tap, x in features.taps.items()}
    top = keras.Input(features.top.shape[1:], name="top")
    backbone = keras.Model([*inputs.values(), top], top)
    model = attend(backbone, inputs, int(features.labels.max()) + 1, **choices)
    model.compile(keras.optimizers.AdamW(2e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    arrays = [*features.taps.values(), features.top]
    model.fit([x[train] for x in arrays], features.labels[train], batch_size=32, epochs=epochs, verbose=0)
    return model


def attend_error(features: Features, seed: int, *, epochs: int, **choices) -> float:
    """Test error of `attend()` on the frozen features, in per cent."""
    model = train_head(features, seed, epochs=epochs, **choices)
    _, test = split(features.labels, seed)
    arrays = [*features.taps.values(), features.top]
    logits = model.predict([x[test] for x in arrays], batch_size=TEST_BATCH, verbose=0)["logits"]
    return 100 * float(np.mean(logits.argmax(-1) != features.labels[test]))


def contestants(features: Features, epochs: int, compare: bool) -> dict[str, Callable[[int], float]]:
    """Name -> from a seed to a test error."""
    labels = features.labels
    found = {
        "logistic regression, averaged top": lambda seed: linear_probe(features.averaged_top(), labels, seed),
        "logistic regression, averaged taps": lambda seed: linear_probe(features.pooled(), labels, seed),
        "`attend()`": partial(attend_error, features, epochs=epochs),
    }
    chosen = [LinearHead("mean"), LinearHead(include_global=False), LinearHead("mean", include_global=False)]
    if compare:
        chosen += [LinearHead(local_norm=norm) for norm in ("position", "channel", "none")]
        chosen += [LinearHead("mean", local_norm="position"), LinearHead("pc"), LinearHead("dp")]
        chosen += [PaperHead("pc"), PaperHead("dp")]
    for head in chosen:
        changed = [
            f"{field.name}={getattr(head, field.name)!r}"
            for field in dataclasses.fields(head)
            if getattr(head, field.name) != field.default
        ]
        said = f"`{type(head).__name__}({', '.join(changed)})`"
        found[said] = partial(attend_error, features, epochs=epochs, head=head)
    return found


def arguments(program: str, description: str) -> argparse.ArgumentParser:
    """The options of what is trained on what."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{program}", description=description)
    parser.add_argument("--backbone", type=Path, required=True, help="a .keras file, images in")
    parser.add_argument("--folder", type=Path, required=True, help="a folder of images for each class")
    parser.add_argument("--taps", nargs="+", default=["auto"], help="layers to attend to; auto by default")
    parser.add_argument("--preprocess", help="an application whose preprocessing the backbone wants")
    parser.add_argument("--mean", nargs=3, type=float, help="or: subtract these from R, G, B")
    parser.add_argument("--deviation", nargs=3, type=float, help="and divide by these")
    parser.add_argument(
        "--size", type=int, default=224, help="side of the images, where the backbone takes any"
    )
    parser.add_argument("--seeds", type=int, default=5, help="each with a split of its own")
    parser.add_argument("--epochs", type=int, default=10, help="of training each classifier")
    return parser


def main() -> None:
    parser = arguments("attend_backbone", __doc__.splitlines()[0])
    parser.add_argument("--compare", action="store_true", help="other scores, normalisations and heads too")
    options = parser.parse_args()
    print(report(options), flush=True)


def report(options: argparse.Namespace) -> str:
    """Run everything; the Markdown table."""
    backbone = load_model(options.backbone)
    size = tuple(side or options.size for side in backbone.input_shape[1:3])
    images, labels, names = read_folder(options.folder, size)
    began = time.perf_counter()
    features = extract(backbone, chosen_taps(options), preprocess(options), images, labels)
    lines = [
        f"{len(labels)} images of {len(names)} classes, taps "
        + ", ".join(f"{tap} {x.shape[1]}x{x.shape[2]}x{x.shape[3]}" for tap, x in features.taps.items())
        + f"; {options.seeds} seeds and splits, {options.epochs} epochs; features took "
        f"{time.perf_counter() - began:.0f} s\n",
        "| classifier | test error, % | each seed | seconds |",
        "|---|---:|---|---:|",
    ]
    for name, error in contestants(features, options.epochs, options.compare).items():
        began = time.perf_counter()
        errors = [error(seed) for seed in range(options.seeds)]
        seconds = (time.perf_counter() - began) / options.seeds
        spread = statistics.stdev(errors) if len(errors) > 1 else 0.0
        each = ", ".join(f"{value:.1f}" for value in errors)
        lines.append(f"| {name} | {statistics.mean(errors):.1f} ± {spread:.1f} | {each} | {seconds:.1f} |")
        print(lines[-1], file=sys.stderr, flush=True)
    return "\n".join(lines)


def chosen_taps(options: argparse.Namespace):
    """As `attend` takes them."""
    return "auto" if options.taps == ["auto"] else options.taps


def preprocess(options: argparse.Namespace) -> keras.layers.Layer | None:
    """The layer that the backbone's pixels go through.

    Raises:
        UserError: the options contradict each other.
    """
    if options.mean is None and options.deviation is None:
        return preprocessing_layer(options.preprocess)
    if options.preprocess or options.mean is None or options.deviation is None:
        raise UserError("give --preprocess, or --mean and --deviation together")
    variance = [value**2 for value in options.deviation]
    return keras.layers.Normalization(mean=options.mean, variance=variance)


if __name__ == "__main__":
    sys.exit(exit_code(main))
