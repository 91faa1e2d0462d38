import dataclasses

import numpy as np
import pytest

from attention_keras.data.split import Split
from attention_keras.evaluation.tasks.groups import errors_by_group


def test_groups_count_alike_and_the_worst_comes_first():
    groups = np.array(["p1", "p2", "p2", "p2", "p2", "p3", ""], object)
    split = Split(np.zeros((7, 1, 1, 3), "uint8"), np.zeros(7, "int32"), groups=groups)
    found = errors_by_group(split, np.array([0, 1, 0, 0, 0, 1, 1]))
    assert found["mean"] == pytest.approx((0 + 0.25 + 1) / 3)
    each = [(one["group"], one["error"], one["images"]) for one in found["each, worst first"]]
    assert each == [("p3", 1.0, 1), ("p2", 0.25, 4), ("p1", 0.0, 1)]
    assert errors_by_group(dataclasses.replace(split, groups=None), np.zeros(7)) == {}
