"""What a command asks of its trainings, and whether two commands ask the same."""

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

from attention_keras.runs.recipes import Recipe
from benchmarks.full_width.parts import Pixels

# Fields that a recipe of an earlier version lacks were as they are by default.
_DEFAULTS = {field.name: field.default for field in fields(Recipe) if field.default is not MISSING}


@dataclass(frozen=True)
class Budget:
    """How long to train: `epochs`, or as many as fit into `seconds`."""

    epochs: int | None
    seconds: float

    def epochs_of(self, epoch_seconds: float) -> int:
        return self.epochs or max(1, int(self.seconds / epoch_seconds))


@dataclass(frozen=True)
class Setting:
    """What is common to the trainings of one command.

    Attributes:
        output: folder for results, states and weights.
        precision: `float32` or `mixed_bfloat16`.
        held_out: images at the end of the training split that are for validation.
        save_every: epochs between two saved states; 0 for none.
        keep_weights: whether trained weights are written.
    """

    output: Path
    precision: str
    held_out: int
    save_every: int = 0
    keep_weights: bool = False

    def state_file(self, name: str, seed: int) -> Path:
        return self.output / f"{name}-s{seed}.state.npz"


def conditions_of(recipe: Recipe, pixels: Pixels, budget: Budget, setting: Setting) -> dict[str, Any]:
    """Everything that the numbers of a training depend on, but for its network and seed; values of JSON."""
    return {
        **asdict(recipe),
        "epochs": budget.epochs,  # the recipe's own are not looked at
        "seconds": None if budget.epochs else budget.seconds,
        "precision": setting.precision,
        "validation": setting.held_out,
        "train_images": len(pixels.train[0]),
        "test_images": len(pixels.test[0]),
        "data": pixels.digest,
    }


def differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """What differs between the conditions of two trainings, as words; empty where they are the same.

    Example:
        >>> differences({"epochs": 4, "precision": "float32"}, {"epochs": 8, "precision": "float32"})
        'epochs 4 -> 8'
    """
    found = _DEFAULTS | dict(found)
    wanted = _DEFAULTS | dict(wanted)
    names = [name for name in wanted if found.get(name) != wanted[name]]
    return ", ".join(f"{name} {found.get(name)} -> {wanted[name]}" for name in names)
