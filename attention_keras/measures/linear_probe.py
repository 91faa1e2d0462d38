"""How much a network's descriptors tell about images of another kind: a linear classifier on top."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from attention_keras.errors import UserError

PENALTIES = (0.001, 0.01, 0.1, 1.0)
FOLDS = 3

# Names of one thing in CIFAR-10 (left) and elsewhere, STL-10 among them.
_SYNONYMS = {"car": "automobile", "plane": "airplane", "aeroplane": "airplane"}


@dataclass(frozen=True)
class LinearResult:
    """A linear classifier on descriptors: its test accuracy, the penalty C chosen by cross-validation."""

    accuracy: float
    penalty: float
    validation_accuracy: float
    features: int


def linear_accuracy(
    features: np.ndarray,
    labels: np.ndarray,
    test_features: np.ndarray,
    test_labels: np.ndarray,
    seed: int = 0,
) -> LinearResult:
    """Train a linear SVM (scikit-learn) and test it.

    Features `(n, c)` are standardised by their training statistics; C is the best of `PENALTIES` in a
    stratified cross-validation on the training features, the smallest of equals.
    """
    fewest = int(np.unique(labels, return_counts=True)[1].min())
    if fewest < 2 or len(np.unique(labels)) < 2:
        raise UserError("transfer needs two classes or more with two training images or more each")
    search = GridSearchCV(
        make_pipeline(StandardScaler(), LinearSVC(dual="auto", max_iter=5000, random_state=seed)),
        {"linearsvc__C": list(PENALTIES)},
        cv=StratifiedKFold(min(FOLDS, fewest), shuffle=True, random_state=seed),
    )
    search.fit(features, labels)
    return LinearResult(
        accuracy=float(search.score(test_features, test_labels)),
        penalty=float(search.best_params_["linearsvc__C"]),
        validation_accuracy=float(search.best_score_),
        features=features.shape[1],
    )


def shared_classes(ours: Sequence[str], theirs: Sequence[str]) -> dict[int, int]:
    """Their label -> our label, for classes of the same name (car and automobile are the same).

    Example:
        >>> shared_classes(["automobile", "frog"], ["monkey", "Car"])
        {1: 0}
    """
    known = {_plain(name): label for label, name in enumerate(ours)}
    return {label: known[_plain(name)] for label, name in enumerate(theirs) if _plain(name) in known}


def _plain(name: str) -> str:
    lower = name.strip().lower()
    return _SYNONYMS.get(lower, lower)


def direct_accuracy(predicted: np.ndarray, labels: np.ndarray, mapping: dict[int, int]) -> tuple[float, int]:
    """Accuracy of a network's own answers on another dataset's images of classes that both have.

    An answer that the other dataset has no class for (CIFAR-10's frog on STL-10) is wrong. `mapping` is from
    `shared_classes`. The second number says how many images the accuracy is over.
    """
    rows = np.isin(labels, list(mapping))
    expected = np.array([mapping[label] for label in labels[rows].tolist()])
    return float(np.mean(predicted[rows] == expected)) if rows.any() else float("nan"), int(rows.sum())
