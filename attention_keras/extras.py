"""What is said when a package is missing that only a part of this library needs."""

import contextlib
import importlib.util
from collections.abc import Iterator

from attention_keras.errors import UserError

# Packages that pip knows by another name than `import` does.
PIP_NAMES = {
    "PIL": "pillow",
    "grpc": "grpcio",
    "keras_cv": "keras-cv",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "tensorflow_datasets": "tensorflow-datasets",
    "tensorflow_serving": "tensorflow-serving-api",
    "tf_keras_vis": "tf-keras-vis",
}


@contextlib.contextmanager
def needs(purpose: str, extra: str) -> Iterator[None]:
    """Imports inside `with needs(...)` that end in one line where their package is not installed.

    Args:
        purpose: what the packages are for; the subject of the sentence.
        extra: the extra of this package that installs them.

    Raises:
        UserError: a package is missing. An error from inside a package that is there stays as it is.

    Example:
        >>> with needs("segmentation", extra="evaluate"):
        ...     import scikit_no_image
        Traceback (most recent call last):
        attention_keras.errors.UserError: segmentation needs scikit_no_image, which is not installed; \
pip install "attention-keras[evaluate]"
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if not package or _is_installed(package):
            raise
        raise UserError(
            f"{purpose} needs {PIP_NAMES.get(package, package)}, which is not installed; "
            f'pip install "attention-keras[{extra}]"'
        ) from None


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:
        return False
    except ValueError:  # it is loaded, and its module does not say from where
        return True
