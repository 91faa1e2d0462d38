"""How the command line reads a field that may be left open."""

from dataclasses import replace
from types import NoneType
from typing import get_args

from tyro.conf import DisallowNone
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

RULES = ConstructorRegistry()


@RULES.primitive_rule
def left_open(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec | None:
    """Take the values of T for `T | None`, where nobody types None.

    tyro's own rule names None among the choices of a Literal, and all of them in another order each time.
    """
    kinds = [kind for kind in get_args(info.type) if kind is not NoneType]
    if DisallowNone not in info.markers or len(kinds) != 1 or NoneType not in get_args(info.type):
        return None
    spec = ConstructorRegistry.get_primitive_spec(PrimitiveTypeInfo.make(kinds[0], info.markers))
    return replace(
        spec,
        is_instance=lambda value: value is None or spec.is_instance(value),
        str_from_instance=lambda value: ["None"] if value is None else spec.str_from_instance(value),
    )
