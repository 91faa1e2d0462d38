"""The augmentations by name: which there are, and what an `augment` asks for.

The command line reads this without TensorFlow. What they do stands in `images.py` (crops of image files)
and `augment.py`. Crops, moves and mixes are functions of (seed, epoch, step); KerasCV's policies are
not.
"""

from dataclasses import dataclass

from attention_keras.errors import UserError

MOVES = ("flip", "crop", "crop_reflect")
MIXES = ("cutout", "mixup", "cutmix")
POLICIES = ("randaugment", "gridmask")
CROPS = ("resized_crop",)
NEEDS_FILES = "is cut from image files, which folder:PATH and table:FILE have; use crop or crop_reflect"


@dataclass(frozen=True)
class Augment:
    """An augmentation, parsed: crops of files come first, then moves, mixes and policies, as given."""

    moves: tuple[str, ...] = ()
    mixes: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()
    crops: tuple[str, ...] = ()

    @property
    def is_repeatable(self) -> bool:
        """Whether pixels are a function of (seed, epoch, step), as exact resume and determinism need."""
        return not self.policies

    @property
    def without_masks(self) -> tuple[str, ...]:
        """What changes images and leaves their masks as they were."""
        return self.crops + self.mixes + self.policies


def parse_augment(augment: str) -> Augment:
    """Parse `none`, or names joined by `+`, such as `flip+crop+cutmix`."""
    kinds = (MOVES, MIXES, POLICIES, CROPS)
    known = [name for kind in kinds for name in kind]
    names = () if augment == "none" else tuple(augment.split("+"))
    unknown = [name for name in names if name not in known]
    if unknown or len(set(names)) < len(names):
        problem = f"unknown augmentation {unknown[0]!r}" if unknown else f"augmentation twice in {augment!r}"
        raise UserError(
            f"{problem}; allowed: none, or any of {', '.join(known)} joined by +, such as flip+crop"
        )
    return Augment(*(tuple(name for name in names if name in kind) for kind in kinds))
