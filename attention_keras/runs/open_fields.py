"""Fields that may be left open, and how the command line's help says what happens then."""

from typing import Annotated, TypeVar

from tyro.conf import DisallowNone, arg

T = TypeVar("T")
Unset = Annotated[T | None, DisallowNone, arg(help_behavior_hint="")]
Empty = Annotated[T, arg(help_behavior_hint="")]
