"""Arguments that attend() had before: accepted for one version, with a warning that says what to write."""

import functools
import inspect
import warnings

from attention_keras.errors import UserError
from attention_keras.models.copies import copy_model
from attention_keras.models.graph import functional
from attention_keras.models.heads import LinearHead, PaperHead

# Old name of attend() -> name in a head.
_OF_A_HEAD = {
    "compat": "score",
    "normalization": "normalization",
    "local_norm": "local_norm",
    "aggregate": "aggregate",
    "project": "project",
    "include_global": "include_global",
    "head_dropout": "dropout",
    "global_features": "global_features",
}


def accept_old_arguments(attend):
    """attend() that takes its old arguments too."""

    @functools.wraps(attend)
    def call(*args, **arguments):
        settings = {new: arguments.pop(old) for old, new in _OF_A_HEAD.items() if old in arguments}
        settings = {name: value for name, value in settings.items() if value is not None}
        if settings:
            head = arguments.get("head", "linear")
            if head not in ("linear", "paper"):
                raise UserError(f"say {', '.join(settings)} in the head; got them beside head={head!r}")
            kind = LinearHead if head == "linear" else PaperHead
            if kind is PaperHead:
                settings.setdefault("score", "scaled")  # what was the default of both
            arguments["head"] = kind(**settings)
            written = ", ".join(f"{name}={value!r}" for name, value in settings.items())
            _warn(f"write attend(..., head={kind.__name__}({written}))")
        trainable = arguments.pop("trainable_backbone", None)
        if trainable is not None:
            _warn(f"write backbone.trainable = {trainable} and attend(..., copy=True)")
            given = inspect.signature(attend).bind_partial(*args, **arguments).arguments
            backbone = copy_model(functional(given.pop("backbone")))
            backbone.trainable = trainable
            args, arguments = (backbone,), given
        return attend(*args, **arguments)

    return call


def _warn(instead: str) -> None:
    warnings.warn(
        f"this argument of attend() goes in version 0.4: {instead}", DeprecationWarning, stacklevel=3
    )
