"""How long `train` takes on a frozen backbone, beside what a few lines of scikit-learn take.

    python -m benchmarks.frozen_training FOLDER BACKBONE

Both read the same images from their files. The lines extract the features of all of them with the backbone,
average each map, and fit scikit-learn's logistic regression to the training images. `train` does what it does
by default: the features once, the class head with its penalty chosen by five folds, its checks, pictures and
files, the temperature, and the test. They take turns in one process, after a small training to warm
up. Where others use the machine, the processor time tells more.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from attention_keras.models.pretrained import preprocessing_layer
from attention_keras.runs.config import RunConfig
from attention_keras.runs.directory import Run
from attention_keras.runs.model_file import load_model
from attention_keras.training.train import train
from benchmarks.common import options_of


def by_hand(files: dict[str, list[Path]], labels: dict[str, list[int]], options: argparse.Namespace) -> float:
    """The test error of a linear probe."""
    model, normalise, features = load_model(options.backbone), preprocessing_layer(options.preprocess), {}
    size = (options.side, options.side)
    for role, paths in files.items():
        images = np.stack([np.asarray(Image.open(path).convert("RGB").resize(size)) for path in paths])
        maps = model.predict(normalise(images.astype("float32")), batch_size=32, verbose=0)
        last = maps[-1] if isinstance(maps, list) else maps
        features[role] = last.mean(axis=(1, 2))
    scaler = StandardScaler().fit(features["train"])
    probe = LogisticRegression(max_iter=1000).fit(scaler.transform(features["train"]), labels["train"])
    return 1 - probe.score(scaler.transform(features["test"]), labels["test"])


def splits_of(run: Run, folder: str) -> tuple[dict[str, list[Path]], dict[str, list[int]]]:
    """The files and the labels of each role, as the run saw them."""
    files: dict[str, list[Path]] = {"train": [], "validation": [], "test": []}
    labels: dict[str, list[int]] = {role: [] for role in files}
    for path, record in run.files().items():
        files[record.role].append(Path(folder, path))
        labels[record.role].append(run.class_names().index(record.label))
    return files, labels


def main() -> None:
    parser = options_of("frozen_training", __doc__)
    parser.add_argument("folder", help="of images, a folder a class")
    parser.add_argument("backbone", help="FILE.keras")
    parser.add_argument("--preprocess", default="imagenet", help="as `train` takes it")
    parser.add_argument("--side", type=int, default=224, help="of the images")
    parser.add_argument("--rounds", type=int, default=2, help="of both, one after the other")
    options = parser.parse_args()
    images = {"dataset": f"folder:{options.folder}", "image_size": options.side}
    config = RunConfig(backbone=options.backbone, preprocess=options.preprocess, **images)
    seconds: dict[str, list[tuple[float, float]]] = {"by hand": [], "train": []}

    def timed(name: str, call: Callable, *arguments):
        began = time.perf_counter(), time.process_time()
        found = call(*arguments)
        seconds[name].append((time.perf_counter() - began[0], time.process_time() - began[1]))
        return found

    with tempfile.TemporaryDirectory() as place:
        train(config.replace(limit=30, run_dir=place, name="warm"), report=lambda line: None)
        for number in range(options.rounds):
            again = config.replace(run_dir=place, name=str(number))
            result = timed("train", train, again)
            files, labels = splits_of(result.run, options.folder)
            probe = timed("by hand", by_hand, files, labels, options)
            print(f"test error: by hand {probe:.1%}, train {result.metrics['test_error']:.1%}; {seconds}")
    hand, ours = (np.median(seconds[name], axis=0) for name in seconds)
    print(f"by hand {hand[0]:.1f} s, train {ours[0]:.1f} s for {sum(map(len, files.values()))} images")
    print(f"ratio {ours[0] / hand[0]:.2f}, of processor time {ours[1] / hand[1]:.2f}")


if __name__ == "__main__":
    main()
