"""Fields that may be left open, and how the command line's help says what happens then."""

from typing import Annotated, TypeVar

from tyro.conf import DisallowNone, arg

T = TypeVar("T")
ByModel = Annotated[T | None, DisallowNone, arg(help_behavior_hint="(default: as the model's name says)")]
ByRecipe = Annotated[T | None, DisallowNone, arg(help_behavior_hint="(default: as the recipe says)")]
Unset = Annotated[T | None, DisallowNone, arg(help_behavior_hint="")]
Empty = Annotated[T, arg(help_behavior_hint="")]
