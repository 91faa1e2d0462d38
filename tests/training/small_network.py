"""train.py with a small smooth network in place of the zoo's, for tests about training, not networks.

Smooth, because ReLU and max-pooling turn the last bit of a sum into a visible difference after a few
steps, and then no two orders of summation agree. As a script it runs train.py.
"""

import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def build_small_network(spec, input_shape, num_classes, *, width, dropout, init, preprocess, backbone=None):
    """Two convolutions with batch norm and swish, dp attention on the first."""
    import keras
    from keras import layers

    from attention_keras.models.attend import attend
    from attention_keras.models.heads import PaperHead

    images = keras.Input(input_shape, name="images")
    x = preprocess(images)
    for index, channels in enumerate((6, 8)):
        x = layers.Conv2D(channels, 3, 2, padding="same", name=f"conv{index}_kernel")(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.Activation("swish", name=f"conv{index}")(x)
        x = layers.Dropout(0.2)(x) if dropout else x
    head = PaperHead("dp", dropout=0.5 if dropout else 0)
    return attend(keras.Model(images, x), ["conv0", "conv1"], num_classes, head=head)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    from attention_keras.models import zoo

    zoo.build_model = build_small_network
    sys.argv[0] = "train.py"
    runpy.run_path(str(ROOT / "train.py"), run_name="__main__")
