"""The order of a model's attention outputs."""

import numpy as np

from attention_keras.models.outputs import attention_maps


def test_attention_outputs_by_tap():
    late, early, also_late = np.zeros((5, 2, 3)), np.zeros((5, 4, 4)), np.zeros((5, 3, 2))
    outputs = {
        "logits": np.zeros((5, 9)),
        "attention_b": late,
        "attention_conv7": early,
        "attention_a": also_late,
    }
    maps = attention_maps(outputs)
    assert list(maps) == ["conv7", "b", "a"] and maps["conv7"] is early and maps["a"] is also_late
