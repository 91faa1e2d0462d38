"""Draws docs/images/photographs-explained.png, the first picture of README.

    python docs/draw_photographs.py CLASSIFIER.keras

The classifier answers for ImageNet's 1,000 classes and takes raw pixels. The photographs are all colour
photographs of an object that scikit-image and scikit-learn bring with them; the READMEs beside these images
have their licences.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from skimage import data
from sklearn.datasets import load_sample_images

from attention_keras import explain, load_model
from attention_keras.drawing.cells import largest, png, signed_overlay
from attention_keras.drawing.charts import new_figure, pixels

COLUMNS = 4
TARGET = Path(__file__).parent / "images" / "photographs-explained.png"
NAMES = {285: "Egyptian cat", 422: "barbell", 442: "bell cote", 657: "missile", 665: "moped", 967: "espresso"}
NAMES |= {985: "daisy"}  # of the classes that an EfficientNet-Lite0 answers


def photographs(side: int) -> np.ndarray:
    """`(7, side, side, 3)` float32, the middle of each photograph."""
    folder = Path(data.__file__).parent
    names = ("chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg", "astronaut.png")
    images = [Image.open(folder / name).convert("RGB") for name in names]
    images += [Image.fromarray(image) for image in load_sample_images().images]
    return np.stack([np.asarray(ImageOps.fit(image, (side, side))) for image in images]).astype("float32")


def main(path: str) -> None:
    model = load_model(path)
    explained = explain(model, photographs(model.input_shape[1]))
    rows = -(-(len(explained) + 1) // COLUMNS)  # the last cell has the key
    figure = new_figure(2 * COLUMNS, 4.3 * rows)
    axes = figure.subplots(2 * rows, COLUMNS)
    for index in range(rows * COLUMNS):
        above, below = axes[2 * (index // COLUMNS) :, index % COLUMNS][:2]
        above.set_axis_off(), below.set_axis_off()
        if index < len(explained):
            image, predicted = explained.images[index].astype("uint8"), explained.predicted[index]
            share = explained.probabilities[index, predicted]
            above.imshow(image)
            above.set_title(f"{NAMES.get(predicted, predicted)} {share:.0%}", fontsize=15)
            below.imshow(signed_overlay(image, explained.total[index], largest(explained.total[index])))
        else:
            above.text(0, 0.35, "the photograph,\nits class and\nthe probability", fontsize=13)
            below.text(0, 0.35, "evidence:\nred for the class,\nblue against it", fontsize=13)
    TARGET.write_bytes(png(pixels(figure)))


if __name__ == "__main__":
    main(sys.argv[1])
