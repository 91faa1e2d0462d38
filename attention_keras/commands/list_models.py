"""`attention-keras list-models`: names, sizes, and the paper's errors beside them."""

from collections.abc import Sequence
from dataclasses import dataclass

from attention_keras.commands.command_line import parse
from attention_keras.commands.quiet_start import import_tensorflow
from attention_keras.models.paper_errors import PAPER_ERRORS

DESCRIPTION = "List the networks by name, counted at full width on 32x32 images with 10 classes."


@dataclass(frozen=True)
class ListModelsOptions:
    """Nothing to choose."""


def main(words: Sequence[str], prog: str) -> int:
    """The command line; the return value is the exit code.

    Args:
        words: after the command's name.
        prog: how the user calls the command.
    """
    parse(ListModelsOptions, words, description=DESCRIPTION, prog=prog)
    import_tensorflow("list-models")
    print_models()
    return 0


def print_models() -> None:
    """A line for each model at full width on 32x32 images with 10 classes, counted on its graph."""
    import keras

    from attention_keras.models.compute import count_macs, count_parameters
    from attention_keras.models.zoo import build_model, list_models

    heads = "".join(f"{dataset + ' %':>12}" for dataset in PAPER_ERRORS)
    print(f"{'model':<26}{'parameters':>12}{'M MACs/image':>14}{heads}")
    for name in list_models():
        with keras.StatelessScope(initialize_variables=False):  # weights would take a minute
            model = build_model(name)
        known = (errors.get(name) for errors in PAPER_ERRORS.values())
        errors = "".join(f"{'' if error is None else f'{error:.2f}':>12}" for error in known)
        sizes = f"{count_parameters(model):>12,}{count_macs(model) / 1e6:>14,.0f}"
        print(f"{name:<26}{sizes}{errors}".rstrip(), flush=True)
    print(
        "\nerrors: the paper's, for full width and 300 epochs. Other names are built alike; a backbone\n"
        "keras:<Application> or FILE.keras has them too (--backbone, --taps)."
    )
