"""The one list of all kinds of maps: which a network has, which are shown, and their computation."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial

import keras
import numpy as np

from attention_keras.errors import NotApplicable, UserError
from attention_keras.evaluation.post_hoc import METHODS, post_hoc_maps
from attention_keras.evaluation.subjects import views
from attention_keras.explaining.explain import explain
from attention_keras.models.evidence import has_evidence
from attention_keras.models.outputs import attention_maps


@dataclass(frozen=True, eq=False)
class MapKind:
    """One kind of map, such as `attention` or `Grad-CAM`.

    `compute(model, images, targets, batch_size, seed)`, of images `(n, H, W, 3)` and classes `(n,)`, gives
    maps `(n, h, w)` by the name of their level; a kind of one level gives it its own name. A map that is
    `signed` has values below zero, which speak against the class.
    """

    name: str
    compute: Callable[..., dict[str, np.ndarray]]
    exists: Callable[[keras.Model], bool] = lambda model: True
    of_class: bool = True
    signed: bool = False

    def full_name(self, level: str) -> str:
        """Such as `attention conv13`."""
        return level if level == self.name else f"{self.name} {level}"


def _attention(model, images, targets, batch_size, seed):
    outputs = attention_maps(model.output)
    maps = views.predict_batches(keras.Model(model.input, outputs), images, batch_size)
    return {tap: maps[tap] for tap in outputs}  # from early to late levels


def _evidence(model, images, targets, batch_size, seed):
    return views.evidence_in_batches(partial(explain, model), images, targets, batch_size)


def _cam(model, images, targets, batch_size, seed):
    """CAM (Zhou et al. 2016): features weighted by the classifier's weights of the class, cut off at 0."""
    extract, kernel = views.cam_parts(model)
    features = views.predict_batches(extract, images, batch_size)
    return {"CAM": np.maximum(np.einsum("nhwc,cn->nhw", features, kernel[:, targets]), 0)}


def _random(model, images, targets, batch_size, seed):
    size = model.get_layer(views.explained_layer(model)).output.shape[1:3]
    maps = [np.random.default_rng([seed, row]).random(size) for row in range(len(images))]
    return {"random": np.stack(maps)}


ATTENTION = MapKind("attention", _attention, lambda model: bool(attention_maps(model.output)), of_class=False)
EVIDENCE = MapKind("evidence", _evidence, exists=has_evidence, signed=True)
CAM = MapKind("CAM", _cam, exists=lambda model: views.cam_parts(model) is not None)
POST_HOC = [MapKind(name, partial(post_hoc_maps, name)) for name in METHODS]
RANDOM = MapKind("random", _random, of_class=False)
"""Ignores the image: a map that does no better explains nothing."""
KINDS = (ATTENTION, EVIDENCE, CAM, *POST_HOC, RANDOM)
"""In order of preference: a network is shown with its attention and evidence, or with what comes next."""


def kinds_of(model: keras.Model, names: Collection[str] = ()) -> list[MapKind]:
    """Every kind of map that the network (in float32) has; only those of `names`, if any are given."""
    known = sorted(kind.name for kind in KINDS)
    if unknown := [name for name in names if name not in known]:
        raise UserError(f"there is no kind of map called {unknown[0]!r}; there are {', '.join(known)}")
    kinds = [kind for kind in KINDS if (not names or kind.name in names) and kind.exists(model)]
    if not kinds:
        raise NotApplicable(f"{model.name} has no {' or '.join(names)}")
    return kinds


def shown_kinds(model: keras.Model) -> list[MapKind]:
    """The kinds that stand for the network in a figure: attention and evidence, else Grad-CAM."""
    kinds = kinds_of(model)
    return [kind for kind in kinds if kind in (ATTENTION, EVIDENCE)] or kinds[:1]


def locating_kinds(model: keras.Model) -> list[MapKind]:
    """The kinds that are compared in pointing at objects: the shown ones, and the first post-hoc one."""
    post_hoc = next(kind for kind in kinds_of(model) if kind not in (ATTENTION, EVIDENCE))
    return list(dict.fromkeys([*shown_kinds(model), post_hoc]))


def compute_maps(
    kinds: Sequence[MapKind], model: keras.Model, images, targets, *, batch_size: int = 128, seed: int = 0
) -> dict[str, np.ndarray]:
    """All maps of kinds from `kinds_of(model)`, by full name: `(n, h, w)`, not negative unless signed."""
    maps = {}
    for kind in kinds:
        levels = kind.compute(model, images, targets, batch_size, seed)
        maps |= {kind.full_name(level): level_maps for level, level_maps in levels.items()}
    return maps
