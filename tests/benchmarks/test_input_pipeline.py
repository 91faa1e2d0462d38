"""The benchmark of the input pipeline measures both sides of what it compares."""

import numpy as np
import pytest

from attention_keras.data.split import Split
from benchmarks.input_pipeline import Case, measure, plain_batches

CASE = Case("tiny", side=16, images=40, classes=3, augment="flip+crop")


def test_the_rival_delivers_the_same_kind_of_batches():
    split = Split(np.zeros((40, 16, 16, 3), "uint8"), np.zeros(40, "int32"))
    images, labels = next(iter(plain_batches(split, CASE, batch_size=8)))
    assert images.shape == (8, 16, 16, 3) and labels.shape == (8, 3)


@pytest.mark.parametrize("augment", ["flip+crop", "mixup", "flip+cutmix"])
def test_both_are_measured(augment):
    case = Case("tiny", 16, 40, 3, augment)
    ours, plain = measure(case, batch_size=8, seconds=0.02, repeats=1)
    assert ours > 100 and plain > 100
