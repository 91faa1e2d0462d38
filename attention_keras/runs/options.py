"""How an option of a command is declared: its default, its help and its check, in one place.

The text under a field is its help. The command line, with its flags and its help, is made from these.
"""

import ast
import dataclasses
import inspect
import itertools
import math
import re
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from attention_keras.errors import UserError


class Rule(NamedTuple):
    allows: Callable[[Any], Any]
    words: str
    """How a message says which values are allowed."""


def at_least(least: int) -> Rule:
    return Rule(lambda value: value >= least, f"{least} or more")


POSITIVE = Rule(lambda value: math.isfinite(value) and value > 0, "a positive number")
ZERO_OR_POSITIVE = Rule(lambda value: math.isfinite(value) and value >= 0, "0 or a positive number")
BELOW_ONE = Rule(lambda value: 0 <= value < 1, "from 0 up to 1")
BETWEEN_0_AND_1 = Rule(lambda value: 0 < value < 1, "between 0 and 1")
UP_TO_ONE = Rule(lambda value: 0 < value <= 1, "above 0 and at most 1")
UP_TO_16 = Rule(lambda value: 1 <= value <= 16, "from 1 to 16")
LOW_AND_HIGH = Rule(
    lambda value: not value or (len(value) == 2 and -math.inf < value[0] < value[1] < math.inf),
    "two numbers, the lower one first",
)
SEED = Rule(lambda value: 0 <= value < 2**31, "from 0 to 2147483647")
NAME = Rule(
    lambda value: re.fullmatch(r"(\w[\w.\- ]{0,199})?", value), "letters, digits, '.', '_', '-' or spaces"
)


@dataclasses.dataclass(frozen=True)
class Option:
    """What a field says of itself beside its type, its default and the help under it.

    `group` is its heading in the help; a `rare` option stands in the long one alone. `default` says in words
    what stands for an open value, and `identifies` whether another value makes another run. An option with a
    `place` is typed without its name; the usage calls it so.
    """

    group: str = ""
    default: str = ""
    rule: Rule | None = None
    rare: bool = False
    identifies: bool = True
    place: str = ""


def option(value: Any = dataclasses.MISSING, **about: Any) -> Any:
    """A field with these values of `Option`. A `value` of None is left open for whoever `default` names."""
    has_words = value not in (dataclasses.MISSING, None, ())
    words = "" if not has_words else str(value).lower() if isinstance(value, bool) else str(value)
    return dataclasses.field(default=value, metadata={"option": Option(**{"default": words} | about)})


def options_of(config: Any) -> dict[str, Option]:
    """Name -> option, of a config or its class, in the order of the help."""
    return {field.name: field.metadata["option"] for field in dataclasses.fields(config)}


def help_of(config_type: type) -> dict[str, str]:
    """Name of a field -> the text under it. Python keeps none of these, so they are read from the source."""
    found: dict[str, str] = {}
    for base in filter(dataclasses.is_dataclass, reversed(config_type.__mro__)):
        (tree,) = ast.parse(inspect.getsource(base)).body
        for field, text in itertools.pairwise(ast.iter_child_nodes(tree)):
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
                found[ast.unparse(field.target)] = inspect.cleandoc(ast.literal_eval(text.value))
    return found


def check_values(config: Any) -> None:
    """Raise UserError for the first value of another type than its field's, or against its rule."""
    kinds = get_type_hints(type(config))
    for field in dataclasses.fields(config):
        value, kind, rule = getattr(config, field.name), kinds[field.name], field.metadata["option"].rule
        if value is None and field.default is None:
            continue
        if not _is_a(value, kind):
            raise UserError(f"{field.name}: {value!r} is not allowed; expected {_in_words(kind)}")
        if kind is float:
            object.__setattr__(config, field.name, float(value))
        if rule and not rule.allows(value):
            raise UserError(f"{field.name} must be {rule.words}; got {value!r}")


def _is_a(value: Any, kind: Any) -> bool:
    if get_origin(kind) is Literal:
        return isinstance(value, str) and value in get_args(kind)
    if get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(_is_a(item, get_args(kind)[0]) for item in value)
    return type(value) in ((int, float) if kind is float else (kind,))  # True is no number


def _in_words(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(get_args(kind))
    return f"a list of {_in_words(get_args(kind)[0])}" if get_origin(kind) is tuple else kind.__name__
