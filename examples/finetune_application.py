#!/usr/bin/env python3
"""Put attention on MobileNetV2 and train it on a folder of images, one subfolder a class.

    python examples/finetune_application.py photos/                       # downloads ImageNet weights
    python examples/finetune_application.py photos/ --weights none        # fresh weights, all of them trained

Writes finetuned/model.keras and pictures of where the model looks. With ImageNet weights, attention and
classifier are trained on the frozen network first, then everything at a tenth of the learning rate.
"""

import argparse
from pathlib import Path

import keras
import numpy as np
from PIL import Image

from attention_keras import attend
from attention_keras.drawing.images import panel, prediction_title
from attention_keras.models.outputs import attention_maps

SIZE = 96


def train(folder: str, weights: str | None, epochs: int, batch_size: int):
    """The trained model, the validation images as a tf.data set, and the names of the classes."""
    images, validation = keras.utils.image_dataset_from_directory(
        folder, validation_split=0.2, subset="both", seed=0, image_size=(SIZE, SIZE), batch_size=batch_size
    )
    names = images.class_names

    backbone = keras.applications.MobileNetV2(include_top=False, weights=weights, input_shape=(SIZE, SIZE, 3))
    model = attend(backbone, "auto", len(names), preprocess="MobileNetV2")  # raw pixels in
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    backbone.trainable = weights is None
    model.compile(keras.optimizers.AdamW(2e-3), loss, metrics=["accuracy"])
    model.fit(images, validation_data=validation, epochs=epochs, verbose=2)
    if weights is not None:
        backbone.trainable = True
        model.compile(keras.optimizers.AdamW(2e-4), loss, metrics=["accuracy"])
        model.fit(images, validation_data=validation, epochs=epochs, verbose=2)
    return model, validation, names


def draw(model: keras.Model, validation, names: list[str], output: Path) -> None:
    """Eight validation images, each with its attention maps beside it."""
    images, labels = next(iter(validation))
    outputs = {name: np.asarray(value) for name, value in model(images, training=False).items()}
    probabilities = np.asarray(keras.ops.softmax(outputs["logits"]))
    for i, image in enumerate(np.asarray(images).round().astype("uint8")[:8]):
        title, correct = prediction_title(probabilities[i], names, int(labels[i]))
        maps = {tap: level[i] for tap, level in attention_maps(outputs).items()}
        Image.fromarray(panel(image, maps, title, correct=correct)).save(output / f"{i}.png")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder")
    parser.add_argument("--weights", default="imagenet", help="imagenet, a weights file, or none")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=32)
    options = parser.parse_args()
    weights = None if options.weights == "none" else options.weights
    model, validation, names = train(options.folder, weights, options.epochs, options.batch_size)

    output = Path("finetuned")
    output.mkdir(exist_ok=True)
    model.save(output / "model.keras")
    draw(model, validation, names, output)
    print(f"model and panels in {output}/")


if __name__ == "__main__":
    main()
