"""The flags of a training: one for each field of `RunConfig`."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, TypedDict, get_type_hints

from tyro.conf import OmitArgPrefixes, arg

from attention_keras.commands.command_line import parse
from attention_keras.runs.config import RunConfig
from attention_keras.runs.options import help_of, options_of

EVERYTHING = "--help-all"


def parse_config(words: Sequence[str], *, description: str, prog: str) -> RunConfig:
    """The config that these words ask for.

    `--help` shows the everyday options, and `--help-all` all of them. They all work in the same way.
    """
    words = list(words)
    short = not {"-h", "--help"}.isdisjoint(words) and EVERYTHING not in words
    words = ["--help" if word == EVERYTHING else word for word in words]
    groups = parse(_form(short), words, description=description, prog=prog)
    return RunConfig.from_dict({name: value for group in groups.values() for name, value in group.items()})


def _form(everyday_only: bool) -> type:
    """A dictionary of what is given, for tyro: for each group of options another one.

    Of the everyday options the first sentence is enough.
    """
    kinds, helps, groups = get_type_hints(RunConfig), help_of(RunConfig), {}
    for name, about in options_of(RunConfig).items():
        if about.rare and everyday_only:
            continue
        hint = f"(default: {about.default})" if about.default else ""
        text = re.split(r"(?<=\.)\s", helps[name])[0] if everyday_only else helps[name]
        kind = Annotated[kinds[name], arg(help=" ".join(text.split()), help_behavior_hint=hint)]
        groups.setdefault(about.group, {})[name] = kind
    forms: dict[str, Any] = {group: TypedDict(group, fields, total=False) for group, fields in groups.items()}
    return TypedDict("Training", {group: OmitArgPrefixes[form] for group, form in forms.items()})
