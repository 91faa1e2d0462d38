"""Options of the data. They stand in a run's config as they were given."""

from dataclasses import dataclass
from typing import Annotated, Any

from tyro.conf import arg

from attention_keras.data.geometry import MEGAPIXELS, Resize, check_megapixels
from attention_keras.data.registry import VALIDATION_FRACTION
from attention_keras.errors import UserError
from attention_keras.runs.field_types import check_types


@dataclass(frozen=True)
class DataOptions:
    """The images."""

    dataset: str = "cluttered_digits"
    """cluttered_digits (embedded, no download), svhn, cifar10, cifar100, cub200, folder:PATH, tfds:NAME."""
    validation_fraction: float = VALIDATION_FRACTION
    """Share of the training split held out for validation."""
    limit: Annotated[int, arg(help_behavior_hint="(default: 0, all)")] = 0
    """Use only the first N training images and N/5 test images, for a try."""
    image_size: Annotated[int, arg(help_behavior_hint="(default: 0, the dataset's own, or 32)")] = 0
    """Side of the images, for folder: and tfds: datasets and cub200."""
    resize: Resize = "crop"
    """Pictures of folder: and tfds: datasets: crop takes the middle, stretch changes their shape, pad adds
    black."""
    svhn_extra: bool = False
    """Train on SVHN's 531,131 easier extra images too."""
    skip_broken: bool = False
    """Leave out unreadable images of a folder, and list them, instead of stopping."""
    megapixels: int = MEGAPIXELS
    """Pictures of a folder with more millions of pixels than this count as unreadable."""

    def __post_init__(self):
        check_types(self)
        for name in ("limit", "image_size"):
            if getattr(self, name) < 0:
                raise UserError(f"{name} must be 0 or more; got {getattr(self, name)}")
        check_megapixels(self.megapixels)
        if self.resize != DataOptions.resize and not self.dataset.startswith(("folder:", "tfds:")):
            raise UserError(
                f"resize is for folder:PATH and tfds:NAME, with pictures of any shape; got {self.dataset}"
            )
        if not 0 < self.validation_fraction < 1:
            raise UserError(f"validation_fraction must lie between 0 and 1; got {self.validation_fraction}")

    @property
    def is_folder(self) -> bool:
        """Whether the images are pictures in a folder."""
        return self.dataset.startswith("folder:")

    @property
    def resize_of_others(self) -> Resize:
        """How pictures from elsewhere are brought to the network's size: as those of the training were."""
        return "stretch" if self.dataset == "cub200" else self.resize

    def for_loading(self) -> dict[str, Any]:
        """What `load_dataset` takes beside the name, the seed and the place."""
        return {
            "validation_fraction": self.validation_fraction,
            "limit": self.limit or None,
            "image_size": self.image_size or None,
            "resize": self.resize,
            "svhn_extra": self.svhn_extra,
            "skip_broken": self.skip_broken,
            "megapixels": self.megapixels,
        }
