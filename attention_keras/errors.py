"""What a user is told in one line: a mistake in what was asked for, or a package that is missing."""

import contextlib
import importlib.util
from collections.abc import Iterator

# Packages that pip knows by another name than `import` does.
PIP_NAMES = {"PIL": "pillow", "grpc": "grpcio", "skimage": "scikit-image", "sklearn": "scikit-learn"}
PIP_NAMES |= {"tensorflow_serving": "tensorflow-serving-api"}


class UserError(ValueError):
    """A mistake in what was asked for, told in one line.

    The message says what was wrong, what is allowed and, if it helps, what to type.
    Commands print it on stderr without a traceback and exit with code 2; every other exception is a bug
    and keeps its traceback.
    """


class NotApplicable(UserError):
    """An evaluation task has nothing to do on these runs or data; `all` goes on with the next task."""


@contextlib.contextmanager
def needs(purpose: str, extra: str) -> Iterator[None]:
    """Inside, a package that is not installed raises UserError: `purpose` needs it, and `extra` brings it.

    An error from inside a package that is there stays as it is.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        try:
            is_missing = package and importlib.util.find_spec(package) is None
        except ModuleNotFoundError:
            is_missing = True
        if not is_missing:
            raise
        raise UserError(
            f"{purpose} needs {PIP_NAMES.get(package, package.replace('_', '-'))}, which is not installed; "
            f'pip install "attention-keras[{extra}]"'
        ) from None
