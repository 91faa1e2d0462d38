"""Maps come from early to late levels, whatever the order of a model's outputs."""

import itertools

import numpy as np
import pytest

from attention_keras.models.outputs import attention_maps, evidence_maps


def outputs(prefix, shapes):
    return {f"{prefix}{tap}": np.zeros(shape) for tap, shape in shapes.items()}


SHAPES = {"early": (2, 8, 8), "late": (2, 4, 4), "global": (2, 4, 4)}


@pytest.mark.parametrize("order", list(itertools.permutations(SHAPES)))
@pytest.mark.parametrize("classes", [(), (5,)])
def test_the_averaged_map_is_last_and_larger_maps_are_first(order, classes):
    found = outputs("evidence_", {tap: (*SHAPES[tap], *classes) for tap in order})
    found |= {"evidence_rest": np.zeros((2, *classes)), "logits": np.zeros((2, 5))}
    assert list(evidence_maps(found)) == ["early", "late", "global"]


def test_a_batch_of_maps_and_one_image_are_ordered_alike():
    found = outputs("attention_", {"a": (4, 4), "b": (8, 8)}) | {"probabilities": np.zeros(5)}
    assert list(attention_maps(found)) == ["b", "a"]
    batch = {name: value[None] for name, value in found.items()}
    assert list(attention_maps(batch)) == ["b", "a"]
