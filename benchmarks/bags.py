"""Where a rule of multiple-instance learning is kept: evidence and attention for the digits of a bag.

    python -m benchmarks.bags

A bag is a large image of 4 x 4 digits of scikit-learn, and its label is all that training sees: whether a 9
is there, or whether a 2 and a 3 are there. A digit is a place, which 256 random features stand for. Places
are measured in bags that keep the rule: the area under the curve for whether a place is a digit of the rule.
"""

import numpy as np
import pandas as pd
from scipy.special import softmax
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from attention_keras.training.class_fit import fit_class_head
from benchmarks.common import options_of, table

RULES = {"a 9 is there": (9,), "a 2 and a 3 are there": (2, 3)}
SIDE, CHANNELS = 4, 256


def draw(keys: tuple[int, ...], digits: np.ndarray, count: int, random: np.random.Generator):
    """Rows of digits `(count, SIDE**2)`, and labels: half of the bags have all keys, the others lack one."""
    others = np.flatnonzero(~np.isin(digits, keys))
    bags, labels = random.choice(others, (count, SIDE**2)), np.arange(count) % 2
    for bag, label in zip(bags, labels):
        missing = -1 if label else random.integers(len(keys))
        put = [key for number, key in enumerate(keys) if number != missing]
        places = random.permutation(SIDE**2)[: len(put)]
        bag[places] = [random.choice(np.flatnonzero(digits == key)) for key in put]
    return bags, labels


def measure(keys: tuple[int, ...], bags: int, seed: int):
    """Approach, measure and value in %; no digit is in a bag to train and in one to test."""
    pixels, digits = load_digits(return_X_y=True)
    random = np.random.default_rng(seed)
    weights = random.normal(size=(64, CHANNELS)) / np.sqrt(64)
    features = np.maximum((pixels - pixels.mean(0)) / 4 @ weights, 0).astype("float32")
    halves = train_test_split(np.arange(len(digits)), train_size=0.5, stratify=digits, random_state=seed)
    (train, labels), (test, answers) = (
        (half[rows], kept) for half in halves for rows, kept in [draw(keys, digits[half], bags, random)]
    )
    train, test = train.reshape(-1, SIDE, SIDE), test.reshape(-1, SIDE, SIDE)
    fitted = fit_class_head({"top": features[train]}, labels, 2, seed=seed)
    x = fitted.statistics["top"].standardize(features[test])
    votes, local = x @ fitted.probe.kernel / SIDE**2, fitted.attention["top"](x)
    attention = softmax(local, axis=(1, 2))
    levels = fitted.level_logits({"top": features[test]})
    parts = votes, attention * local
    key, kept = np.isin(digits[test], keys), answers == 1
    for name, mix, attended in (
        ("probe, uniform attention", (1, 0), np.ones_like(attention)),
        ("class attention", (0, 1), attention),
        ("**attention and probe**", fitted.weights, attention),
    ):
        logits = np.einsum("nlk,l->nk", levels, mix)
        evidence = sum(weight * part for weight, part in zip(mix, parts))
        maps = {"evidence": evidence[..., 1] - evidence[..., 0], "attention": attended[..., 1]}
        yield name, "bags, error", 100 * float(np.mean(logits.argmax(1) != answers))
        for what, values in maps.items():
            yield name, f"digits, {what}", 100 * float(roc_auc_score(key[kept].ravel(), values[kept].ravel()))


def main() -> None:
    parser = options_of("bags", __doc__)
    parser.add_argument("--bags", type=int, default=1000, help="bags to train, and as many to test")
    parser.add_argument("--seeds", type=int, default=3, help="each with digits, bags and features of its own")
    options = parser.parse_args()
    for rule, keys in RULES.items():
        found = [(*one, seed) for seed in range(options.seeds) for one in measure(keys, options.bags, seed)]
        record = pd.DataFrame(found, columns=["row", "measure", "value", "seed"])
        print(f"{record.to_csv(index=False)}\n{table(record, rule)}\n")


if __name__ == "__main__":
    main()
