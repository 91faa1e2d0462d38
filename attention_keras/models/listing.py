"""`train.py --list-models`: names, sizes, and the paper's errors beside them."""

import numpy as np

from attention_keras.models.compute import count_macs
from attention_keras.models.zoo import build_model, list_models

# Top-1 error in % on CIFAR-10 and CIFAR-100, as far as known: from the paper's tables where others
# quote them, else from the comments of the official scripts.
PAPER_ERRORS = {
    "vgg": (7.77, 30.62),
    "vgg-gap": (9.87, 31.77),
    "vgg-pan": (6.29, 24.35),
    "rn164": (6.03, 25.34),
    "vgg-att1-dp": (6.14, 24.22),
    "vgg-att2-indep-dp": (5.91, 23.24),
    "vgg-att2-concat-dp": (5.86, 23.2),
    "vgg-att1-pc": (5.67, 23.70),
    "vgg-att2-indep-pc": (5.4, 24.1),
    "vgg-att2-concat-pc": (5.23, 23.19),
    "vgg-att3-concat-pc": (6.34, 22.97),
    "vgg-att2-concat-pc-2g": (5.68, 22.98),
}


def print_models() -> None:
    """A line for each model at full width on 32x32 images with 10 classes, counted on its graph."""
    print(f"{'model':<26}{'parameters':>12}{'M MACs/image':>14}{'CIFAR-10 %':>12}{'CIFAR-100 %':>13}")
    for name in list_models():
        model = build_model(name)
        parameters = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
        errors = [f"{error:.2f}" for error in PAPER_ERRORS.get(name, ())] or ["", ""]
        print(
            f"{name:<26}{parameters:>12,}{count_macs(model) / 1e6:>14,.0f}{errors[0]:>12}{errors[1]:>13}",
            flush=True,
        )
    print(
        "\nerrors: the paper's, for full width and 300 epochs. Other combinations build from --backbone,\n"
        "--levels, --compat, --aggregate, --normalization, --project, --globals, and from\n"
        "keras:<Application> with --taps."
    )
