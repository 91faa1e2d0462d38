"""Which datasets may be flipped: where a mirrored image is still one of its class."""

# Digits and letters: a mirrored 2 is none, and a mirrored 5 looks like a 2.
_SIGNS = {
    "cluttered_digits",
    "svhn",
    "svhn_cropped",
    "mnist",
    "emnist",
    "kmnist",
    "mnist_corrupted",
    "binary_alpha_digits",
}


def is_mirror_symmetric(dataset: str) -> bool:
    """Whether a mirrored image of this dataset still belongs to its class.

    Args:
        dataset: as `--dataset` takes it.

    Example:
        >>> is_mirror_symmetric("cifar10"), is_mirror_symmetric("tfds:mnist")
        (True, False)
    """
    return dataset.removeprefix("tfds:").split("/")[0].split(":")[0] not in _SIGNS
