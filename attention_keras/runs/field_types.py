"""Whether the values of a dataclass have the types its fields promise."""

import types
import typing
from typing import Any, Literal

from attention_keras.errors import UserError


def check_types(instance: Any) -> None:
    """Refuse a value of another type than its field's. A whole number is accepted for a float field.

    Args:
        instance: a dataclass instance; frozen ones too.

    Raises:
        UserError: the message names the field, the value and what is expected.
    """
    for name, annotation in typing.get_type_hints(type(instance)).items():
        value = getattr(instance, name)
        if annotation in (float, float | None) and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
            object.__setattr__(instance, name, value)
        if not _matches(value, annotation):
            raise UserError(f"{name}: {value!r} is not allowed; expected {_describe(annotation)}")


def _matches(value: Any, annotation: Any) -> bool:
    origin = typing.get_origin(annotation)
    if origin is types.UnionType or origin is typing.Union:
        return any(_matches(value, option) for option in typing.get_args(annotation))
    if origin is Literal:
        return isinstance(value, str) and value in typing.get_args(annotation)
    if origin is tuple:
        return isinstance(value, tuple) and all(isinstance(item, str) for item in value)
    if annotation in (int, float) and isinstance(value, bool):
        return False
    return isinstance(value, annotation)


def _describe(annotation: Any) -> str:
    origin = typing.get_origin(annotation)
    if origin is types.UnionType or origin is typing.Union:
        return " or ".join(_describe(option) for option in typing.get_args(annotation))
    if origin is Literal:
        return "one of " + ", ".join(typing.get_args(annotation))
    if origin is tuple:
        return "a list of strings"
    return "nothing" if annotation is type(None) else annotation.__name__
