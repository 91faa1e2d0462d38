#!/usr/bin/env python3
"""Put attention on MobileNetV2 and fine-tune it on a folder of images, one subfolder a class.

    python examples/finetune_application.py photos/ --epochs 5
    python examples/finetune_application.py photos/ --weights imagenet --freeze     # downloads weights

Writes finetuned.keras and panels of where the model looks. The same from the command line, without
pretrained weights: train.py --dataset folder:photos --backbone keras:MobileNetV2 --taps ... --image-size 96.
"""

import argparse
from pathlib import Path

import keras
import numpy as np
from PIL import Image

from attention_keras import attend
from attention_keras.drawing.panel import panel, prediction_title
from attention_keras.models.outputs import attention_maps

SIZE = 96
TAPS = ["block_6_expand_relu", "block_13_expand_relu"]


def build(num_classes: int, weights: str | None, freeze: bool) -> keras.Model:
    """Raw pixels in [0, 255] to logits and two attention maps."""
    images = keras.Input((SIZE, SIZE, 3), name="images")
    pixels = keras.layers.Rescaling(1 / 127.5, offset=-1)(images)  # what MobileNetV2 was trained on
    backbone = keras.applications.MobileNetV2(include_top=False, weights=weights, input_tensor=pixels)
    return attend(backbone, TAPS, num_classes, compat="dp", trainable_backbone=not freeze)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--weights", default=None, help="imagenet, a weights file, or nothing")
    parser.add_argument("--freeze", action="store_true", help="train attention and classifier only")
    parser.add_argument("--output", default="finetuned")
    options = parser.parse_args()

    output = Path(options.output)
    output.mkdir(parents=True, exist_ok=True)
    train, validation = keras.utils.image_dataset_from_directory(
        options.folder,
        validation_split=0.2,
        subset="both",
        seed=0,
        image_size=(SIZE, SIZE),
        batch_size=options.batch_size,
    )
    names = train.class_names
    model = build(len(names), options.weights, options.freeze)
    model.compile(
        keras.optimizers.AdamW(1e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(train, validation_data=validation, epochs=options.epochs, verbose=2)

    model.save(output / "finetuned.keras")
    images, labels = next(iter(validation))
    outputs = {name: np.asarray(value) for name, value in model(images).items()}
    probabilities = np.asarray(keras.ops.softmax(outputs["logits"]))
    for i, image in enumerate(np.asarray(images).round().astype("uint8")[:8]):
        title, correct = prediction_title(probabilities[i], names, int(labels[i]))
        maps = {tap: level[i] for tap, level in attention_maps(outputs).items()}
        Image.fromarray(panel(image, maps, title, correct=correct)).save(output / f"{i}.png")
    print(f"model and panels in {output}/")


if __name__ == "__main__":
    main()
