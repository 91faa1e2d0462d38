#!/usr/bin/env python3
"""Put attention on MobileNetV2 and train it on a folder of images, one subfolder a class.

    python examples/finetune_application.py photos/                       # downloads ImageNet weights
    python examples/finetune_application.py photos/ --weights none        # fresh weights, all of them trained

Writes finetuned/model.keras and drawings of where the model looks and what it finds there. With ImageNet
weights, attention and classifier are trained on the frozen network first, then everything at a tenth of the
learning rate.
"""

import argparse
from pathlib import Path

import keras

from attention_keras import attend

SIZE = 96


def train(folder: str, weights: str | None, epochs: int, batch_size: int):
    """The trained model, which knows the names of its classes, and the validation images as a tf.data set."""
    images, validation = keras.utils.image_dataset_from_directory(
        folder, validation_split=0.2, subset="both", seed=0, image_size=(SIZE, SIZE), batch_size=batch_size
    )
    backbone = keras.applications.MobileNetV2(include_top=False, weights=weights, input_shape=(SIZE, SIZE, 3))
    model = attend(backbone, "auto", len(images.class_names), preprocess="MobileNetV2")  # raw pixels in
    model.class_names = images.class_names
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    backbone.trainable = weights is None
    model.compile(keras.optimizers.AdamW(2e-3), loss, metrics=["accuracy"])
    model.fit(images, validation_data=validation, epochs=epochs, verbose=2)
    if weights is not None:
        backbone.trainable = True
        model.compile(keras.optimizers.AdamW(2e-4), loss, metrics=["accuracy"])
        model.fit(images, validation_data=validation, epochs=epochs, verbose=2)
    return model, validation


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
    model, validation = train(options.folder, weights, options.epochs, options.batch_size)

    output = Path("finetuned")
    output.mkdir(exist_ok=True)
    model.save(output / "model.keras")
    images, _ = next(iter(validation))
    model.explain(images[:8]).save(output)
    print(f"model and drawings in {output}/")


if __name__ == "__main__":
    main()
