"""Arguments that attend() had before: accepted for one version, with a warning that says what to write."""

import functools
import inspect
import warnings

from attention_keras.errors import UserError
from attention_keras.models.copies import copy_model
from attention_keras.models.graph import functional
from attention_keras.models.heads import LinearHead, PaperHead

_SAME = ("normalization", "local_norm", "aggregate", "project", "include_global", "global_features")
_OF_A_HEAD = {"compat": "score", **{name: name for name in _SAME}, "head_dropout": "dropout"}


def accept_old_arguments(attend):
    """attend() that takes its old arguments too."""

    @functools.wraps(attend)
    def call(*args, **arguments):
        given = {new: arguments.pop(old, None) for old, new in _OF_A_HEAD.items()}
        settings = {name: value for name, value in given.items() if value is not None}
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
            arguments = inspect.signature(attend).bind_partial(*args, **arguments).arguments
            backbone = arguments["backbone"] = copy_model(functional(arguments["backbone"]))
            backbone.trainable, args = trainable, ()
        return attend(*args, **arguments)

    return call


def _warn(instead: str) -> None:
    message = f"this argument of attend() goes in version 0.4: {instead}"
    warnings.warn(message, DeprecationWarning, stacklevel=3)
