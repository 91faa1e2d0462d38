"""evidence_model(): maps that add up to the answer."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

import keras
from keras import ops

from attention_keras.errors import UserError
from attention_keras.layers.ensemble import PredictedClass
from attention_keras.layers.evidence import Evidence, all_steps
from attention_keras.models.graph import expose, functional
from attention_keras.models.outputs import EVIDENCE, EVIDENCE_REST, LOGITS, PROBABILITIES
from attention_keras.models.readout import activation_of, read_out
from attention_keras.models.taps import local_features

Asked = Literal["all", "predicted", "asked"]


def evidence_model(model: keras.Model, of: Asked = "all") -> keras.Model:
    """The same network with its evidence as further outputs: what each place says for a class.

    What a classifier pools is a sum over places, and for a given image the layers behind it are linear. So a
    logit is a sum over the places of all maps. The new outputs are the terms of this sum. They are signed,
    belong to a class, are exact and need no gradient (formula: `Evidence`). For every image and class k,

        sum of the evidence over maps and places + rest = logit_k - mean of all logits

    up to rounding, in a model that computes in float32. Of sigmoids, of one logit and of a regression the
    logit itself stands on the right; for `indep` it holds for the logits of each level. For a network that
    ends in average pooling and one linear layer, evidence is CAM (Zhou et al. 2016), less its mean over the
    classes. The evidence for class k rather than j is the difference of their maps.

    Args:
        model: any classifier that pools a map, by average, maximum, attention or not at all (Flatten), and
            classifies by dropout, norms, ReLUs, dense layers and 1x1 convolutions. Layers may be models. They
            and their weights are shared with the new model, which follows further training; its file holds
            copies of the classifier's weights.
        of: `all` classes; the `predicted` class of each image; or the class `asked` for each image, for
            which the new model takes inputs `[images, classes]`, with `classes` int32 `(b,)`.

    Returns:
        A model with the outputs of `model`, by name (`logits` or `probabilities` where they have none), and
        `evidence_<tap>` `(b, h, w, k)` for each map, by the layer that made it or the tap, and
        `evidence_rest` `(b, k)`, for `indep` `(b, L, k)`; of one class, `(b, h, w)` and `(b,)` or `(b, L)`.

    Raises:
        UserError: the logits are not a sum over places, because of a layer that is named, or `of` is unknown.

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
    graph = functional(model)
    if len(graph.inputs) != 1:
        raise UserError(f"{model.name} has several inputs; evidence is for a model of one, the images")
    found = read_out(graph, prediction_of(graph)[1])
    graph, tensors = expose(graph, [readout.tensors for readout in found])
    inputs, classes = graph.inputs[0], None
    if of == "asked":
        classes = keras.Input((), dtype="int32", name="classes")
        inputs = [inputs, classes]
    elif of == "predicted":
        classes = PredictedClass(name="predicted_class")(prediction_of(graph)[1])
    evidence, rests = {}, []
    for readout, own in zip(found, tensors):
        maps = {step["features"] for step in all_steps(readout.steps) if step["kind"] == "pool"}
        own = [local_features(x, readout.name) if i in maps else x for i, x in enumerate(own)]
        centred = (readout.activation or final_activation(model)) == "softmax"
        # Its name says whose evidence it gives, so that one graph may hold several kinds, as serving does.
        layer = Evidence(readout.num_classes, readout.steps, centred, name=f"evidence_{of}_{readout.name}")
        layer.share(readout.variables)
        terms, rest = layer(own, classes)
        for tap, places in zip(readout.taps, terms):
            if (name := EVIDENCE + tap) in evidence:  # one map that is pooled in two ways
                add = keras.layers.Add(dtype="float32", name=f"sum_{of}_{tap}")
                places = add([evidence[name], places])
            evidence[name] = places
        rests.append(rest)
    evidence[EVIDENCE_REST] = ops.stack(rests, axis=1) if len(rests) > 1 else rests[0]
    return keras.Model(inputs, _named_outputs(graph) | evidence, name=model.name)


def has_evidence(model: keras.Model) -> bool:
    """Whether a network's logits are a sum over places."""
    try:
        graph = functional(model)
        read_out(graph, prediction_of(graph)[1])
    except UserError:
        return False
    return True


def prediction_of(model: keras.Model) -> tuple[str, Any]:
    """Name and tensor `(b, k)` of the output that classifies: `logits`, else the first of its kind."""
    outputs = _named_outputs(model)
    vectors = [name for name, tensor in outputs.items() if len(tensor.shape) == 2]
    if not vectors:
        raise UserError(f"{model.name} has no output (b, k); evidence is for classifiers")
    name = LOGITS if LOGITS in outputs else vectors[0]
    return name, outputs[name]


def final_activation(model: keras.Model) -> str:
    """What makes probabilities of a model's logits: in its graph, or as a Classifier says."""
    _, tensor = prediction_of(functional(model))
    found = activation_of(tensor) or getattr(model, "activation", None)
    return found or ("softmax" if tensor.shape[-1] > 1 else "linear")


def _named_outputs(model: keras.Model) -> dict[str, Any]:
    """The outputs of a model by name: its own, or `logits` or `probabilities` and the names of layers."""
    if isinstance(model.output, dict):
        return dict(model.output)
    outputs: dict[str, Any] = {}
    for tensor in keras.tree.flatten(model.output):
        name = tensor._keras_history.operation.name
        if len(tensor.shape) == 2 and not {LOGITS, PROBABILITIES} & outputs.keys():
            name = LOGITS if activation_of(tensor) is None else PROBABILITIES
        outputs[name] = tensor
    return outputs


def combine_evidence(maps: Mapping[str, Any], size: tuple[int, int]):
    """One map at image size from the evidence of all taps. Its sum is the sum of theirs.

    Each map is enlarged bilinearly, which spreads the evidence of a place over its pixels, and the enlarged
    maps are added. So the combined map and the rest add up to what the maps do.

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
        full = ops.transpose(full, (0, 2, 1) if len(full.shape) == 3 else (0, 3, 2, 1))
        total = full if total is None else total + full
    return total


def _spread(side, full):
    """`(side, full)`: the share of each of `side` places that each of `full` pixels gets; rows sum to 1."""
    side_length, full_length = ops.cast(side, "float32"), ops.cast(full, "float32")
    pixels = (ops.arange(full, dtype="float32") + 0.5) * side_length / full_length - 0.5
    pixels = ops.clip(pixels, 0, side_length - 1)
    distance = ops.abs(pixels[None] - ops.arange(side, dtype="float32")[:, None])
    # A map finer than the pixels is averaged; a triangle of one place would miss some of them.
    shares = ops.maximum(1 - distance / ops.maximum(side_length / full_length, 1.0), 0)
    return shares / ops.sum(shares, axis=1, keepdims=True)
