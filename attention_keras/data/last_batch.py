"""Where the last batch of an epoch begins, so that every replica gets an image of it."""

from attention_keras.errors import UserError


def last_batch_start(count: int, batch_size: int, replicas: int = 1) -> int:
    """Number of the first image in the last batch.

    TensorFlow gives each replica `ceil(images / replicas)` images of a batch until none is left. A replica
    without an image ends Keras's `fit` with an error in a collective operation (TensorFlow 2.21, Keras 3.15).
    So where the last batch is too small, it takes as few images as it needs from the batch before. With one
    replica nothing changes.

    Args:
        count: images of an epoch.
        batch_size: of all replicas together.
        replicas: how many devices share a batch.

    Raises:
        UserError: some replica has no image, however the last two batches are cut.

    Example:
        >>> last_batch_start(139, 128), last_batch_start(139, 128, replicas=8)
        (128, 124)
    """
    start = (count - 1) // batch_size * batch_size
    before = min(start, batch_size)  # images of the batch before, of which there may be none
    if not before or _reaches_all(batch_size, replicas):
        for moved in range(before + 1):
            sizes = [count - start + moved] + [before - moved] * (before > 0)
            if all(_reaches_all(size, replicas) for size in sizes):
                return start - moved
    raise UserError(
        f"{count} images in batches of {batch_size} leave one of {replicas} devices without an image; "
        f"take a larger multiple of {replicas} as batch_size, more images, or fewer devices"
    )


def _reaches_all(images: int, replicas: int) -> bool:
    """Whether every replica gets an image of a batch."""
    return -(-images // replicas) * (replicas - 1) < images
