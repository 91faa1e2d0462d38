"""Every network that the paper compares, by name."""

import keras

from attention_keras.errors import UserError
from attention_keras.models import resnet, vgg
from attention_keras.models.attend import attend
from attention_keras.models.blocks import Builder
from attention_keras.models.class_head import ClassHead
from attention_keras.models.classifier import Classifier
from attention_keras.models.heads import Head, LinearHead, PaperHead
from attention_keras.models.outputs import LOGITS
from attention_keras.models.pretrained import build_application
from attention_keras.models.spec import ModelSpec

_NAMES = """
vgg vgg-gap vgg-pan vgg-hires vgg-att1-dp vgg-att1-pc vgg-att1-scaled vgg-att1-mean vgg-att2-concat-dp
vgg-att2-concat-pc vgg-att2-concat-scaled vgg-att2-indep-dp vgg-att2-indep-pc vgg-att2-indep-scaled
vgg-att2-concat-mean vgg-att3-concat-dp vgg-att3-concat-pc vgg-att3-concat-scaled vgg-att3-indep-dp
vgg-att3-indep-pc vgg-att3-indep-scaled vgg-att3-concat-mean vgg-att3-concat-pc-lup vgg-att2-concat-pc-2g
vgg-att3-concat-pc-3g vgg-att1-linear-scaled vgg-att3-linear-scaled vgg-att2-linear-scaled vgg-att2-linear-pc
vgg-att2-linear-mean rn164 rn164-hires rn164-att1-dp rn164-att1-pc rn164-att1-scaled rn164-att2-concat-dp
rn164-att2-concat-pc rn164-att2-concat-scaled rn164-att2-indep-dp rn164-att2-indep-pc rn164-att2-indep-scaled
rn164-att2-concat-mean rn164-att2-linear-scaled
"""


def list_models() -> list[str]:
    """Canonical names: baselines and controls, then attention models. `build_model` takes more combinations.

    Example:
        >>> "vgg-att2-concat-pc" in list_models()
        True
    """
    return _NAMES.split()


def build_model(
    name: str | ModelSpec,
    input_shape: tuple[int, int, int] = (32, 32, 3),
    num_classes: int = 10,
    *,
    width: float = 1.0,
    dropout: bool = True,
    init: str = "torch",
    preprocess: keras.layers.Layer | None = None,
    backbone: keras.Model | None = None,
) -> keras.Model:
    """A network of the paper, from raw pixels in [0, 255] to named outputs.

    Args:
        name: a canonical name (`list_models`), or a ModelSpec.
        input_shape: `(h, w, 3)`; for VGG multiples of 16.
        num_classes: k.
        width: factor on every channel count.
        dropout: the official dropout, or none.
        init: `torch` as in the official code, or `keras`.
        preprocess: layer that normalises pixels; None leaves them as they are.
        backbone: for a spec whose backbone is not one of the paper's; by default the application that it
            names, with fresh weights.

    Returns:
        A `Classifier`, which `compile` and `fit` train directly; outputs `logits` `(b, k)`, `attention_<tap>`
        `(b, h, w)`, and for indep models `level_logits` `(b, L, k)`. All float32.

    Raises:
        UserError: unknown name, or an image size that the network cannot take.

    Example:
        >>> model = build_model("vgg-att2-concat-pc", width=0.0625)
        >>> {name: tensor.shape for name, tensor in model.output.items()}
        {'logits': (None, 10), 'attention_conv10': (None, 16, 16), 'attention_conv13': (None, 8, 8)}
    """
    spec = name if isinstance(name, ModelSpec) else ModelSpec.parse(name)
    network = resnet if spec.backbone == "rn164" else vgg
    head = _head(spec, init, network.HEAD_DROPOUT if dropout else 0)
    if spec.globals == "per_level" and spec.backbone != "vgg":
        raise UserError(f"globals per_level is for vgg; {spec.backbone} has one global branch")
    if spec.is_brought:
        if width != 1:
            raise UserError(f"width is for vgg and rn164; {spec.backbone} is built as it is, use width 1")
        backbone = backbone or build_application(spec.application, input_shape)
        taps = spec.taps or "auto"
        return attend(backbone, taps, num_classes, preprocess=preprocess, head=head, name=spec.name)
    if network is vgg:
        vgg.check_input(input_shape)
    images, builder = keras.Input(input_shape, dtype="float32", name="images"), Builder(width, dropout, init)
    pixels = images if preprocess is None else preprocess(images)
    if spec.variant in network.WITHOUT_ATTENTION:
        outputs = network.WITHOUT_ATTENTION[spec.variant](pixels, builder, num_classes)
        return Classifier(images, outputs, name=spec.name)
    local = network.trunk(pixels, builder, spec.levels)
    top = network.TAPS[-1]
    g = network.global_branch(local[top], builder)
    if spec.variant == "hires":  # the control: the same trunk and g, without attention
        x = builder.head(g, "head", network.HEAD_DROPOUT)
        return Classifier(images, {LOGITS: builder.classifier(x, num_classes)}, name=spec.name)
    local = {tap: local[tap] for tap in network.TAPS[-spec.levels :]}
    if spec.globals == "per_level" and spec.levels > 1:
        g = {tap: g if tap == top else vgg.global_branch(x, builder, tap) for tap, x in local.items()}
    return Classifier(images, head(local, g, num_classes), name=spec.name)


def _head(spec: ModelSpec, init: str, dropout: float) -> Head:
    """The head that a name means; the paper's has dropout."""
    if spec.head == "class":
        return ClassHead()
    axes = {"score": spec.compat, "normalization": spec.normalization, "aggregate": spec.aggregate}
    if spec.head == "linear":
        return LinearHead(**axes, project=spec.project, init=init)
    return PaperHead(**axes, project=spec.project, init=init, dropout=dropout)
