"""The paper's networks by name."""

import keras

from attention_keras.errors import UserError
from attention_keras.models import vgg
from attention_keras.models.attend import GLOBAL_NAME, attend
from attention_keras.models.initializers import InitScheme
from attention_keras.models.spec import ModelSpec

EXAMPLES = ("vgg", "vgg-hires", "vgg-att2-concat-pc", "vgg-att2-concat-dp")


def list_models() -> list[str]:
    """The canonical names."""
    return list(EXAMPLES)


def build_model(
    name: str | ModelSpec,
    input_shape: tuple[int, int, int] = (32, 32, 3),
    num_classes: int = 10,
    *,
    width: float = 1.0,
    dropout: bool = True,
    init: str = "torch",
    preprocess: keras.layers.Layer | None = None,
) -> keras.Model:
    """A network of the paper, as a functional model from raw pixels to named outputs."""
    spec = name if isinstance(name, ModelSpec) else ModelSpec.parse(name)
    builder = vgg.Builder(width, dropout, InitScheme(init))
    vgg.check_input(input_shape)
    images = vgg.input_layer(input_shape)
    pixels = images if preprocess is None else preprocess(images)
    if spec.variant == "plain":
        return keras.Model(images, {"logits": vgg.baseline(pixels, builder, num_classes)}, name=spec.name)
    taps = vgg.attention_trunk(pixels, builder)
    g = vgg.global_branch(taps["conv13"], builder)
    if spec.variant == "hires":
        x = vgg.head(g, builder, "head_global")
        logits = builder.dense(x, num_classes, "classifier", dtype="float32")
        return keras.Model(images, {"logits": logits}, name=spec.name)
    if spec.variant != "attention":
        raise UserError(f"{spec.name} is not built yet")
    trunk = keras.Model(images, g)
    return attend(
        trunk,
        list(vgg.TAPS[-spec.levels :]),
        num_classes,
        compat=spec.compat,
        normalization=spec.normalization,
        aggregate=spec.aggregate,
        project=spec.project,
        global_features=trunk.get_layer(GLOBAL_NAME).output,
        builder=builder,
        name=spec.name,
    )


def training_view(model: keras.Model) -> keras.Model:
    """The model with just the output that has a loss, sharing all layers."""
    outputs = model.output
    return keras.Model(model.input, outputs.get("level_logits", outputs["logits"]))
