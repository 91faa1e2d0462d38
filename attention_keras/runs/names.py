"""The name of a run: dataset, network, what differs from their recipe, and seed."""

import dataclasses
import hashlib
import json
import re
from pathlib import Path, PurePath
from typing import Any

from attention_keras.data.registry import FOLDER
from attention_keras.runs.config import RunConfig
from attention_keras.runs.directory import Run
from attention_keras.runs.options import options_of

LONGEST_NAME = 120
_SAID_ALREADY = ("dataset", "model", "backbone", "weights", "taps", "seed")


def run_of(config: RunConfig) -> Run:
    """The run that a config begins or goes on with; a name that another run holds gets letters of its own."""
    folder = Path(config.run_dir)
    if config.name:
        return Run(folder / config.name)
    names = [name_of(config)]
    if config.has_files and (config.weights or config.spec.file):
        names.insert(0, _word(config.dataset))  # what most people do with a folder: one run
    free = (run for name in names if not (run := Run(folder / name)).changes(config))
    return next(free, Run(folder / _cut(f"{names[-1]}-{_digest(config.identity())}")))


def name_of(config: RunConfig) -> str:
    """What a run is called if nobody says otherwise, such as cifar10-vgg-att2-concat-pc-width0.25-s0."""
    kind = f"{config.dataset.partition(':')[0]}-" if config.has_files else ""
    weights, about = config.weights and _word(config.weights), options_of(config)
    parts = [kind + _word(config.dataset), config.model, weights, *config.taps]
    for name, value in config.given().items():
        if name == "recipe":
            parts.append(value)
        elif about[name].identifies and name not in _SAID_ALREADY:
            parts.append(_said(name.replace("_", "-"), value, "-"))
    return _cut("-".join(_safe(part) for part in [*parts, f"s{config.seed}"] if part))


def words_of(config: RunConfig) -> list[str]:
    """How a config trains, for a person: what the recipe decides, and what is not as usual."""
    usual = {field.name: field.default for field in dataclasses.fields(config)}
    return [
        _said(name.replace("_", " "), getattr(config, name), " ")
        for name, about in options_of(config).items()
        if about.identifies and about.group in ("network", "training")
        if name not in (*_SAID_ALREADY, "width") and getattr(config, name) != usual[name]
    ] + [f"seed {config.seed}"]


def _said(label: str, value: Any, between: str) -> str:
    if isinstance(value, bool):
        return label if value else f"no{between}{label}"
    if isinstance(value, tuple):
        value = "-".join(f"{part:g}" if isinstance(part, float) else str(part) for part in value)
    if isinstance(value, str):
        return f"{label}{between}{_word(value)}"
    return f"{label}{between.strip('-')}{value}".removesuffix(".0")


def _word(value: str) -> str:
    return _safe(PurePath(value.removeprefix(FOLDER)).name.split(".")[0] or "root")


def _safe(text: str) -> str:
    return re.sub(r"[^\w.\-]+", "_", text).strip("_")


def _cut(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 9]}-{_digest(name)}"


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:8]
