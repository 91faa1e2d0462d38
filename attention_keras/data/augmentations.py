"""The augmentations by name: which there are, and what a `--augment` asks for.

The command line reads this without TensorFlow. What they do stands in `augment.py` (moves, which are
functions of seed, epoch and step) and `policies.py` (KerasCV's, which are not).
"""

from dataclasses import dataclass

from attention_keras.errors import UserError

MOVES = ("flip", "crop", "crop_reflect")
POLICIES = ("randaugment", "cutmix", "mixup", "gridmask")


@dataclass(frozen=True)
class Augment:
    """An augmentation, parsed: moves come first, then policies, each in the order given.

    Attributes:
        moves: keys of `MOVES`.
        policies: keys of `POLICIES`.
    """

    moves: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()

    @property
    def is_repeatable(self) -> bool:
        """Whether pixels are a function of (seed, epoch, step), as exact resume and determinism need."""
        return not self.policies


def parse_augment(augment: str) -> Augment:
    """Parse `none`, or names joined by `+`, such as `flip+crop+cutmix`.

    Raises:
        UserError: a name that is not known, or twice.

    Example:
        >>> parse_augment("flip+crop_reflect")
        Augment(moves=('flip', 'crop_reflect'), policies=())
    """
    names = () if augment == "none" else tuple(augment.split("+"))
    unknown = [name for name in names if name not in (*MOVES, *POLICIES)]
    if unknown or len(set(names)) < len(names):
        problem = f"unknown augmentation {unknown[0]!r}" if unknown else f"augmentation twice in {augment!r}"
        known = ", ".join([*MOVES, *POLICIES])
        raise UserError(f"{problem}; allowed: none, or any of {known} joined by +, such as flip+crop")
    return Augment(
        tuple(name for name in names if name in MOVES), tuple(name for name in names if name in POLICIES)
    )
