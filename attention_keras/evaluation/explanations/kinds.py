"""The one list of all kinds of maps: which a network has, which are shown, and their computation."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial

import keras
import numpy as np

from attention_keras.errors import NotApplicable, UserError
from attention_keras.evaluation.explanations.attention import attention_of
from attention_keras.evaluation.explanations.cam import cam_of
from attention_keras.evaluation.explanations.evidence import evidence_of, has_evidence
from attention_keras.evaluation.explanations.post_hoc import METHODS, explain
from attention_keras.evaluation.subjects.views import cam_parts, explained_layer, logits_view
from attention_keras.models.outputs import attention_maps


@dataclass(frozen=True, eq=False)
class MapKind:
    """One kind of map.

    Attributes:
        name: such as `attention` or `Grad-CAM`.
        of_class: whether the map depends on the class that is asked about.
        exists: whether a network (in float32) has it.
        compute: `compute(model, images, targets, batch_size=..., seed=...)`, with images `(n, H, W, 3)` and
            classes `(n,)`, gives maps `(n, h, w)` by the name of their level; a kind with one level calls
            it by its own name.
        signed: whether values below zero speak against the class; other maps are not negative.
    """

    name: str
    of_class: bool
    exists: Callable[[keras.Model], bool]
    compute: Callable[..., dict[str, np.ndarray]]
    signed: bool = False

    def full_name(self, level: str) -> str:
        """Name of one of its maps among maps of other kinds, such as `attention conv13`."""
        return level if level == self.name else f"{self.name} {level}"


def _attention(model, images, targets, *, batch_size, seed):
    return attention_of(model, images, batch_size)


def _evidence(model, images, targets, *, batch_size, seed):
    return evidence_of(model, images, targets, batch_size)


def _cam(model, images, targets, *, batch_size, seed):
    return {"CAM": cam_of(model, images, targets, batch_size)}


def _post_hoc(method, model, images, targets, *, batch_size, seed):
    options = {"batch_size": batch_size, "seed": seed}
    return {method: explain(method, logits_view(model), explained_layer(model), images, targets, **options)}


def _random(model, images, targets, *, batch_size, seed):
    size = model.get_layer(explained_layer(model)).output.shape[1:3]
    maps = [np.random.default_rng([seed, row]).random(size) for row in range(len(images))]
    return {"random": np.stack(maps)}


def _always(model: keras.Model) -> bool:
    return True


RANDOM = MapKind("random", False, _always, _random)
"""Ignores the image: a map that does no better explains nothing."""

ATTENTION = MapKind("attention", False, lambda model: bool(attention_maps(model.output)), _attention)
EVIDENCE = MapKind("evidence", True, has_evidence, _evidence, signed=True)
KINDS = (
    ATTENTION,
    EVIDENCE,
    MapKind("CAM", True, lambda model: cam_parts(model) is not None, _cam),
    *(MapKind(method, True, _always, partial(_post_hoc, method)) for method in METHODS),
    RANDOM,
)
"""In order of preference: a network is shown with its attention and evidence, or with what comes next."""


def kinds_of(model: keras.Model, names: Collection[str] = ()) -> list[MapKind]:
    """Every kind of map that the network has.

    Args:
        model: in float32, with the outputs of this package.
        names: only kinds of these names, if any are given.

    Raises:
        UserError: a name is unknown.
        NotApplicable: the network has none of those asked for.
    """
    known = {kind.name for kind in KINDS}
    if unknown := [name for name in names if name not in known]:
        raise UserError(
            f"there is no kind of map called {unknown[0]!r}; there are {', '.join(sorted(known))}"
        )
    asked = [kind for kind in KINDS if not names or kind.name in names]
    found = [kind for kind in asked if kind.exists(model)]
    if not found:
        raise NotApplicable(f"{model.name} has no {' or '.join(names)}")
    return found


def shown_kinds(model: keras.Model) -> list[MapKind]:
    """The kinds that stand for the network in a picture: attention and evidence, else Grad-CAM."""
    kinds = kinds_of(model)
    return [kind for kind in kinds if kind in (ATTENTION, EVIDENCE)] or kinds[:1]


def locating_kinds(model: keras.Model) -> list[MapKind]:
    """The kinds that are compared in finding objects: the shown ones, and the first post-hoc one."""
    kinds = kinds_of(model)
    post_hoc = next(kind for kind in kinds if kind not in (ATTENTION, EVIDENCE))
    return list(dict.fromkeys([*shown_kinds(model), post_hoc]))


def compute_maps(
    kinds: Sequence[MapKind],
    model: keras.Model,
    images: np.ndarray,
    targets: np.ndarray,
    *,
    batch_size: int = 128,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """All maps of the given kinds.

    Args:
        kinds: from `kinds_of(model)`.
        model: in float32, with the outputs of this package.
        images: `(n, H, W, 3)` pixels.
        targets: `(n,)` classes to explain.
        batch_size: images at a time.
        seed: of noise and of the random map.

    Returns:
        Full name -> `(n, h, w)`, not negative unless the kind is signed.
    """
    maps = {}
    for kind in kinds:
        found = kind.compute(model, images, targets, batch_size=batch_size, seed=seed)
        maps |= {kind.full_name(level): level_maps for level, level_maps in found.items()}
    return maps
