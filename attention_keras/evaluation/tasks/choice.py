"""Which images to show."""

import numpy as np


def one_of_each_class(labels: np.ndarray, count: int) -> np.ndarray:
    """The first image of each class, by class, then the second of each, and so on.

    With more classes than `count` the classes are spread evenly.

    Args:
        labels: `(n,)`.
        count: images wanted.

    Returns:
        Indices `(min(n, count),)`.

    Example:
        >>> one_of_each_class(np.array([2, 2, 0, 1]), 3).tolist()
        [2, 3, 0]
    """
    seen: dict[int, int] = {}
    place = np.empty(len(labels), int)
    for index, label in enumerate(labels.tolist()):
        place[index] = seen[label] = seen.get(label, -1) + 1
    order = np.lexsort((labels, place))
    first = order[: len(seen)]
    if len(first) > count:
        return first[np.linspace(0, len(first) - 1, count).round().astype(int)]
    return order[:count]
