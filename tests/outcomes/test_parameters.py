"""The paper's networks have the parameters that follow from the official code, counted by hand."""

import keras
import numpy as np
import pytest

from attention_keras import build_model

# Trainable parameters for 10, 100, 200 classes, and batch-norm statistics.
PARAMETERS = {
    "vgg": (14_991_946, 15_038_116, 15_089_416, 9_472),
    "vgg-gap": (14_728_266, 14_774_436, 14_825_736, 8_448),
    "vgg-att1-dp": (19_713_610, 19_759_780, 19_811_080, 11_520),
    "vgg-att1-pc": (19_714_123, 19_760_293, 19_811_593, 11_520),
    "vgg-att2-concat-dp": (19_719_754, 19_812_004, 19_914_504, 12_544),
    "vgg-att2-concat-pc": (19_720_780, 19_813_030, 19_915_530, 12_544),
    "vgg-att2-indep-dp": (19_719_764, 19_812_104, 19_914_704, 12_544),
    "vgg-att2-indep-pc": (19_720_790, 19_813_130, 19_915_730, 12_544),
    "vgg-att3-concat-pc": (19_856_461, 19_971_751, 20_099_851, 14_080),
    "vgg-att3-concat-pc-lup": (19_860_045, 19_998_375, 20_152_075, 14_592),
    "vgg-att2-concat-pc-2g": (24_705_100, 24_797_350, 24_899_850, None),
    "vgg-att3-concat-pc-3g": (26_545_997, 26_661_287, 26_789_387, None),
    "vgg-pan": (24_698_956, 24_745_126, 24_796_426, 13_568),
    "rn164": (1_703_258, 1_726_388, None, None),
    "rn164-att2-concat-pc": (2_395_484, 2_430_134, None, None),
    "rn164-att1-pc": (2_360_411, 2_383_541, None, None),
}
SOME = ("vgg-att3-concat-pc-lup", "rn164-att2-concat-pc")


@pytest.mark.parametrize(
    ("names", "columns"), [(SOME, [0]), pytest.param(PARAMETERS, [0, 1, 2], marks=pytest.mark.slow)]
)
def test_networks_have_the_papers_parameters(names, columns):
    wrong = []
    for name in names:
        *by_classes, norms = PARAMETERS[name]
        for column in columns:
            if by_classes[column] is None:
                continue
            keras.utils.clear_session()
            model = build_model(name, num_classes=(10, 100, 200)[column])
            found = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
            moving = sum(int(np.prod(v.shape)) for v in model.non_trainable_variables if "moving" in v.path)
            if found != by_classes[column] or norms not in (None, moving):
                wrong.append(f"{name}: {found:,} and {moving:,}, not {by_classes[column]:,} and {norms}")
    assert not wrong
