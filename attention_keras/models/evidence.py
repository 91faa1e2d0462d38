"""evidence_model(): maps that add up to the answer."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

import keras
from keras import ops

from attention_keras.errors import UserError
from attention_keras.layers.attention_pool import AttentionPool
from attention_keras.layers.evidence import Evidence
from attention_keras.models.outputs import EVIDENCE, EVIDENCE_REST, LEVEL_LOGITS, LOGITS
from attention_keras.models.readout import PooledMap, Readout, readouts

Asked = Literal["all", "predicted", "asked"]


def evidence_model(model: keras.Model, of: Asked = "all") -> keras.Model:
    """The same network with its evidence as further outputs: what each place says for a class.

    The descriptors are sums over places, and the classifier is linear in them. So a logit is a sum over
    the places of all taps. The new outputs are the terms of this sum. They are signed, belong to a class, are
    exact and need no gradient (formula: `attention_keras.layers.evidence`). For every image and class k,

        sum of the evidence over taps and places + rest = logit_k - mean of all logits

    up to rounding, in a model that computes in float32. A model of one logit has the logit itself on the
    right. For `indep`, with a classifier for each tap, it holds for the logits of each level. For a network
    that ends in average pooling, evidence is CAM (Zhou et al. 2016), less its mean over the classes. The
    evidence for class k rather than j is the difference of their maps.

    Args:
        model: with an output `logits`, from `build_model`, `attend` or a file; it is not changed. Layers and
            weights are shared with the new model, so that it follows further training. A file of the new
            model holds copies of the classifier's weights: train the model itself, and call this again.
        of: `all` classes; the `predicted` class of each image; or the class `asked` for each image, for
            which the new model takes inputs `[images, classes]`, with `classes` int32 `(b,)`. For a thousand
            classes the last two cost a thousandth of the first.

    Returns:
        A model with the outputs of `model`, and `evidence_<tap>` `(b, h, w, k)` for each tap and
        `evidence_rest` `(b, k)`, for `indep` `(b, L, k)`; of one class, `(b, h, w)` and `(b,)` or `(b, L)`.
        Float32.

    Raises:
        UserError: the network's logits are not a sum over places (`vgg`, `vgg-hires`), or `of` is unknown.

    Example:
        >>> import numpy as np
        >>> from attention_keras import build_model
        >>> model = evidence_model(build_model("vgg-att1-pc", num_classes=3, width=0.0625))
        >>> out = model(np.random.default_rng(0).uniform(0, 255, (1, 32, 32, 3)))
        >>> total = ops.sum(out["evidence_conv13"], (1, 2)) + out["evidence_rest"]
        >>> logits = out["logits"] - ops.mean(out["logits"], -1, keepdims=True)
        >>> bool(ops.max(ops.abs(total - logits)) < 1e-5)
        True
    """
    if of not in get_args(Asked):
        raise UserError(f"of must be one of {', '.join(get_args(Asked))}; got {of!r}")
    if len(model.inputs) != 1:
        raise UserError(f"{model.name} has several inputs; evidence is for a model of one, the images")
    found = readouts(model)
    inputs, classes = model.input, None
    if of == "asked":
        classes = keras.Input((), dtype="int32", name="classes")
        inputs = [model.inputs[0], classes]
    elif of == "predicted":
        # Not ops.argmax: Keras writes it for TensorFlow with operations that LiteRT lacks.
        _, best = ops.top_k(model.output[LOGITS], 1)
        classes = ops.squeeze(best, axis=-1)
    outputs, rests = {}, []
    for readout in found:
        evidence, rest = _evidence(readout, classes, of)
        outputs |= {f"{EVIDENCE}{part.tap}": terms for part, terms in zip(readout.maps, evidence)}
        rests.append(rest)
    outputs[EVIDENCE_REST] = ops.stack(rests, axis=1) if LEVEL_LOGITS in model.output else rests[0]
    return keras.Model(inputs, {**model.output, **outputs}, name=model.name)


def _evidence(readout: Readout, classes, of: Asked):
    """The evidence layer of one classifier, with the variables of the layers that classify.

    Its name says whose evidence it gives, so that one graph may hold several kinds (serving does).
    """
    classifier, maps = readout.classifier, readout.maps
    variables: dict[str, Any] = {"kernel": classifier.kernel}
    if classifier.use_bias:
        variables["bias"] = classifier.bias
    for index, norm in enumerate(part.norm for part in maps):
        if norm is not None:
            found = {"gamma": norm.gamma, "beta": norm.beta}
            found |= {"mean": norm.moving_mean, "variance": norm.moving_variance}
            variables |= {f"{name}_{index}": value for name, value in found.items() if value is not None}
    layer = Evidence(
        classifier.units,
        pools=[
            part.pool.normalization if isinstance(part.pool, AttentionPool) else "average" for part in maps
        ],
        epsilons=[part.norm.epsilon if part.norm is not None else None for part in maps],
        use_bias=classifier.use_bias,
        name=f"evidence_{of}_{classifier.name}",
    )
    layer.share(**variables)
    return layer([_inputs(part) for part in maps], classes)


def _inputs(part: PooledMap) -> dict[str, Any]:
    """What the evidence layer takes of one map."""
    tensors = {"features": part.features, "attention": part.attention, "gate": part.gate}
    return {name: tensor for name, tensor in tensors.items() if tensor is not None}


def combine_evidence(maps: Mapping[str, Any], size: tuple[int, int]):
    """One map at image size from the evidence of all taps. Its sum is the sum of theirs.

    Each map is enlarged bilinearly, which spreads the evidence of a place over its pixels, and the enlarged
    maps are added. So the combined map and the rest still add up to the logit less the mean
    logit; for `indep`, to the sum of that over the levels.

    Args:
        maps: tap -> evidence `(b, h, w)` or `(b, h, w, k)`, such as `evidence_maps(outputs)`.
        size: `(H, W)`.

    Returns:
        `(b, H, W)` or `(b, H, W, k)`, float32; None without any map.

    Example:
        >>> import numpy as np
        >>> evidence = {"conv13": np.array([[[1.0, -3.0], [0.5, 2.0]]])}
        >>> combined = combine_evidence(evidence, (6, 8))
        >>> tuple(combined.shape), round(float(ops.sum(combined)), 5)
        ((1, 6, 8), 0.5)
    """
    total = None
    for evidence in maps.values():
        rows, columns = (_spread(side, full) for side, full in zip(ops.shape(evidence)[1:3], size))
        evidence = ops.cast(evidence, "float32")
        # One summed axis at a time: LiteRT gets an einsum over two wrong.
        wide = ops.tensordot(evidence, columns, axes=[[2], [0]])  # (b, h, [k,] W)
        full = ops.tensordot(wide, rows, axes=[[1], [0]])  # (b, [k,] W, H)
        order = (0, 2, 1) if len(full.shape) == 3 else (0, 3, 2, 1)
        full = ops.transpose(full, order)
        total = full if total is None else total + full
    return total


def _spread(side, full):
    """`(side, full)`: the share of each of `side` places that each of `full` pixels gets; rows sum to 1."""
    side_length, full_length = ops.cast(side, "float32"), ops.cast(full, "float32")
    pixels = (ops.arange(full, dtype="float32") + 0.5) * side_length / full_length - 0.5
    pixels = ops.clip(pixels, 0, side_length - 1)
    distance = ops.abs(pixels[None] - ops.arange(side, dtype="float32")[:, None])
    shares = ops.maximum(1 - distance, 0)
    return shares / ops.sum(shares, axis=1, keepdims=True)
