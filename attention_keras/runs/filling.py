"""What a config's open values become: the network by its name, the recipe's values, paths from anywhere."""

import dataclasses
import difflib
import os
import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from attention_keras.data.registry import IMAGE_FILES
from attention_keras.errors import UserError
from attention_keras.layers.choices import IMAGENET
from attention_keras.models.spec import APPLICATION, FILE, HUB, ModelSpec, is_brought
from attention_keras.runs.recipes import Values, find_recipe

PAPERS = ("vgg", "rn164")
DEFAULT_MODEL = "vgg-att2-concat-pc"


def fill(given: Values) -> Values:
    """The values that follow from those given: of the network's name, and of the recipe."""
    axes = {axis: given[axis] for axis in ("compat", "head") if given.get(axis)}
    backbone = given["backbone"] or ""
    pretrained = bool(given["weights"] or backbone.startswith((FILE, HUB)))
    spec = find_spec(given["model"], backbone or None, given["taps"], pretrained, **axes)
    values = find_recipe(given["recipe"], given["dataset"], spec.backbone, pretrained, spec.head)
    values |= {name: given[name] for name in values if name != "recipe" and given[name] is not None}
    attends = spec.variant == "attention"
    compat = spec.compat if attends and spec.head != "class" else None
    head = spec.head if attends else None
    return values | {"model": spec.name, "backbone": spec.backbone, "compat": compat, "head": head}


def find_spec(
    model: str | None,
    backbone: str | None,
    taps: tuple[str, ...] = (),
    trained: bool = False,
    **axes: str,
) -> ModelSpec:
    """The network of this name, with another backbone or other `axes` than the name says.

    A backbone that is trained has a class head, unless the name or the axes say otherwise.
    """
    if backbone is None or not is_brought(backbone):
        if backbone not in (None, *PAPERS):
            meant = meant_application(backbone)
            raise UserError(
                f"backbone must be {', '.join(PAPERS)}, keras:<Application>, keras_hub:<preset> or "
                "a .keras file; " + (f"perhaps you meant {meant}" if meant else f"got {backbone!r}")
            )
        changed = {"backbone": backbone, "taps": taps, **axes}
        return ModelSpec.parse(model or DEFAULT_MODEL).replace(**{k: v for k, v in changed.items() if v})
    if axes == {"head": "class"} or (trained and not axes):
        spec = ModelSpec(backbone, head="class", taps=taps)
    else:
        spec = ModelSpec(backbone, head="linear", compat="scaled", taps=taps)
    if model is None:
        return spec.replace(**axes)
    name = re.fullmatch(re.escape(spec.name.partition("-att")[0]) + r"-att(\d*)(-.+)", model)
    if name:  # what stands after the backbone is the same in every name
        named = ModelSpec.parse(f"vgg-att{min(int(name[1] or 2), 3)}{name[2]}")
        spec = dataclasses.replace(named, backbone=backbone, taps=taps)
    if spec.name != model:
        raise UserError(f"model {model} and backbone {backbone} are two networks; give one of them")
    return spec.replace(**axes)


def meant_application(name: str) -> str | None:
    """`keras:` and the network of keras.applications that is called nearly like this; None without one."""
    names = {known.casefold(): known for known in applications()}
    close = difflib.get_close_matches(name.casefold(), names, n=1)
    return APPLICATION + names[close[0]] if close else None


def applications() -> list[str]:
    """The networks of keras.applications, from the file that lists them: to import it takes seconds."""
    try:
        listed = distribution("keras").locate_file("keras/applications/__init__.py")
        text = Path(str(listed)).read_text(encoding="utf-8")
    except (OSError, PackageNotFoundError):
        return []
    return sorted(set(re.findall(r" as ([A-Z]\w+)", text)))


def absolute_paths(dataset: str, backbone: str | None, weights: str, init_from: str) -> Values:
    """These four with names of files and folders that hold in every working directory."""
    kind, _, path = dataset.partition(":")
    if dataset.startswith(IMAGE_FILES) and path:
        dataset = f"{kind}:{_absolute(path)}"
    if backbone and backbone.endswith(".keras") and not is_brought(backbone):
        backbone = FILE + _absolute(backbone)
    preset = backbone.removeprefix(HUB) if backbone and backbone.startswith(HUB) else ""
    if preset and os.path.isdir(os.path.expanduser(preset)):
        backbone = HUB + _absolute(preset)
    weights = weights if weights in ("", IMAGENET) else _absolute(weights)
    init_from = init_from and _absolute(init_from)
    return {"dataset": dataset, "backbone": backbone, "weights": weights, "init_from": init_from}


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))
