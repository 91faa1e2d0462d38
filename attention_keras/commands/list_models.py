"""`train.py --list-models`: names, sizes, and the paper's errors beside them."""

import numpy as np

from attention_keras.models.compute import count_macs
from attention_keras.models.paper_errors import PAPER_ERRORS
from attention_keras.models.zoo import build_model, list_models


def print_models() -> None:
    """A line for each model at full width on 32x32 images with 10 classes, counted on its graph."""
    heads = "".join(f"{dataset + ' %':>12}" for dataset in PAPER_ERRORS)
    print(f"{'model':<26}{'parameters':>12}{'M MACs/image':>14}{heads}")
    for name in list_models():
        model = build_model(name)
        parameters = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
        known = (errors.get(name) for errors in PAPER_ERRORS.values())
        errors = "".join(f"{'' if error is None else f'{error:.2f}':>12}" for error in known)
        print(f"{name:<26}{parameters:>12,}{count_macs(model) / 1e6:>14,.0f}{errors}".rstrip(), flush=True)
    print(
        "\nerrors: the paper's, for full width and 300 epochs. Other combinations build from --backbone,\n"
        "--levels, --compat, --aggregate, --normalization, --project, --globals, and from\n"
        "keras:<Application> with --taps."
    )
