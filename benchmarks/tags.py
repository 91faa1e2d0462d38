"""Tags on a frozen backbone: class attention beside one-vs-rest logistic regression, and whose box it shows.

    python -m benchmarks.tags --backbone FILE.keras --data FOLDER --preprocess imagenet

Of a folder of photographs for each class, scenes of two or three objects are made: photographs of different
classes, each in a quarter of its own on grey noise. Each seed has its own split of the photographs, so that
no photograph is in a scene to train on and in one to test on.
"""

from collections import defaultdict

import numpy as np
from sklearn.linear_model import LogisticRegressionCV
from sklearn.metrics import average_precision_score
from sklearn.model_selection import train_test_split
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from attention_keras.commands.command_line import exit_code
from attention_keras.measures.localization import pointing_game
from attention_keras.training.class_fit import fit_class_head
from attention_keras.training.probe_fit import PROBE_C
from benchmarks.heads import TOP, box_masks, common_options, maps_of, mean_table, network_of, pixels

SHOWN = ("**evidence**", "Grad-CAM", "attention", "random")


def scenes(paths: np.ndarray, labels: np.ndarray, count: int, size: int, object_side: int, seed: int):
    """Pixels `(n, size, size, 3)`, tags `(n, k)`, and `(n, k, 4)` boxes as shares, of tags that are there."""
    random, classes, half = np.random.default_rng(seed), labels.max() + 1, size // 2
    images = random.uniform(100, 150, (count, size, size, 3)).astype("float32")
    tags, boxes = np.zeros((count, classes), "uint8"), np.zeros((count, classes, 4))
    for image, there, places in zip(images, tags, boxes):
        chosen = random.permutation(classes)[: random.integers(2, 4)]
        quarters = random.permutation(4)
        photographs = pixels(paths[[random.choice(np.flatnonzero(labels == c)) for c in chosen]], object_side)
        for label, quarter, photograph in zip(chosen, quarters, photographs):
            free = half - object_side
            top, left = random.integers(0, free + 1, 2) + half * np.array([quarter // 2, quarter % 2])
            image[top : top + object_side, left : left + object_side] = photograph
            there[label], places[label] = 1, (top, left, top + object_side, left + object_side)
    return images, tags, boxes / size


def mean_ap(logits: np.ndarray, tags: np.ndarray) -> float:
    """Macro, in per cent."""
    return 100 * float(average_precision_score(tags, logits, average="macro"))


def main() -> None:
    parser = common_options("tags", __doc__, "a folder of classes", seeds=3)
    parser.add_argument("--object", type=float, default=0.3, help="side of an object, of the image's")
    parser.add_argument("--train", type=int, default=500, help="scenes to train on")
    parser.add_argument("--test", type=int, default=300, help="scenes to test on")
    options = parser.parse_args()
    size, predict = network_of(options)
    names = sorted(path.name for path in options.data.iterdir() if path.is_dir())
    files = [sorted((options.data / name).iterdir()) for name in names]
    found = [(str(path), label) for label, of_class in enumerate(files) for path in of_class]
    paths, labels = (np.array(column) for column in zip(*found))
    scores, maps = defaultdict(list), defaultdict(list)
    for seed in range(options.seeds):
        parts = train_test_split(np.arange(len(paths)), train_size=0.75, stratify=labels, random_state=seed)
        made = []
        for rows, count, start in zip(parts, (options.train, options.test), (0, 1)):
            of = (paths[rows], labels[rows], count, size, round(options.object * size), 2 * seed + start)
            images, tags, boxes = scenes(*of)
            features = np.concatenate([predict(images[i : i + 32]) for i in range(0, count, 32)])
            made.append((features, tags, boxes))
        (features, tags, _), (unseen, true, boxes) = made
        fitted = fit_class_head({TOP: features}, tags, len(names), seed=seed)
        levels = fitted.level_logits({TOP: unseen})
        regression = LogisticRegressionCV(Cs=PROBE_C, cv=5, max_iter=1000, scoring="neg_log_loss")
        peer = OneVsRestClassifier(make_pipeline(StandardScaler(), regression))
        peer.fit(features.mean(axis=(1, 2)), tags)
        answers = {
            "one-vs-rest logistic regression (scikit-learn)": peer.predict_proba(unseen.mean(axis=(1, 2))),
            "the class head's probe": levels[:, 0],
            "class attention alone": levels[:, 1],
            "**class attention and probe**": np.einsum("nlk,l->nk", levels, fitted.weights),
        }
        for name, logits in answers.items():
            scores[name].append({"mAP": mean_ap(logits, true)})
        scene, tag = np.nonzero(true)
        masks = box_masks(boxes[scene, tag], size)
        for name, level in maps_of(fitted, unseen[scene], tag, centred=False).items():
            if name in SHOWN:
                maps[name].append({"peak in its own box": 100 * pointing_game(level, masks)})
        print(
            f"seed {seed}: C {fitted.penalty_c}, weights {fitted.weights.round(2)}", scores, maps, flush=True
        )
    print(mean_table(scores, "head"), mean_table(maps, "map, of each tag of a scene"), sep="\n\n")


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
