"""`attention-keras list-models`: names, the paper's errors beside them, and sizes on request."""

from collections.abc import Sequence
from dataclasses import dataclass

from attention_keras.commands.command_line import import_tensorflow, parse
from attention_keras.models.spec import PAPER_ERRORS
from attention_keras.runs.options import option

DESCRIPTION = "List the networks by name, with the errors that the paper reports."


@dataclass(frozen=True)
class ListModelsOptions:
    """What to say of each network."""

    sizes: bool = option(False)
    """Count parameters and multiply-adds too (full width, 32x32 images, 10 classes), which takes a minute."""


def main(words: Sequence[str], prog: str) -> int:
    """The command line; the return value is the exit code."""
    sizes = parse(ListModelsOptions, words, description=DESCRIPTION, prog=prog).sizes
    import_tensorflow("list-models")
    from attention_keras.models.zoo import list_models

    heads = "".join(f"{dataset + ' %':>12}" for dataset in PAPER_ERRORS)
    counts = f"{'parameters':>12}{'M MACs/image':>14}" if sizes else ""
    print(f"{'model':<26}{counts}{heads}")
    for name in list_models():
        known = (errors.get(name) for errors in PAPER_ERRORS.values())
        errors = "".join(f"{'' if error is None else f'{error:.2f}':>12}" for error in known)
        print(f"{name:<26}{_counts(name) if sizes else ''}{errors}".rstrip(), flush=True)
    print(
        "\nerrors: the paper's, for full width and 300 epochs. Other names are built alike; a backbone\n"
        "keras:<Application> or FILE.keras has them too (--backbone, --taps)."
    )
    return 0


def _counts(name: str) -> str:
    """Parameters and multiply-adds, counted on the graph."""
    import keras

    from attention_keras.models.parts import count_macs, count_parameters
    from attention_keras.models.zoo import build_model

    with keras.StatelessScope(initialize_variables=False):  # weights would take long
        model = build_model(name)
    return f"{count_parameters(model):>12,}{count_macs(model) / 1e6:>14,.0f}"
