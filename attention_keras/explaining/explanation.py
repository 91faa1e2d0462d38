"""The answer of explain(): numbers, and drawings of them."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from attention_keras.errors import UserError
from attention_keras.extras import needs


@dataclass(frozen=True, eq=False)
class Explanation:
    """What `explain` returns, for n images and k classes.

    The sum of the evidence of all maps and the rest is the logit of the class: less the mean logit with a
    softmax, of which a shift of all logits changes nothing; less the other class's with `versus`.

    Attributes:
        images: `(n, H, W, c)`, as the model got them.
        names: of the images: of their files, or numbers.
        class_names: k names: `model.class_names`, or ImageNet's where Keras has them; else numbers.
        probabilities: `(n, k)`; of a regression, what it predicts.
        predicted: `(n,)`, the class of the highest probability.
        classes: `(n,)`, the class that is explained; None for all.
        attention: tap -> `(n, h, w)`; empty of a model without.
        evidence: map -> `(n, h, w)`, above 0 for the class and below 0 against it; for all classes
            `(n, h, w, k)`. In units of logits.
        total: the evidence of all maps at the size of the images: `(n, H, W)`, for all classes
            `(n, H, W, k)`.
        rest: `(n,)` or `(n, k)`, what the classifier adds wherever it looks.

    Example:
        >>> from attention_keras import build_model, explain
        >>> e = explain(build_model("vgg-gap", num_classes=3, width=0.03), np.zeros((2, 32, 32, 3)), of=1)
        >>> e.evidence["conv13"].shape, e.total.shape, e.classes.tolist()
        ((2, 8, 8), (2, 32, 32), [1, 1])
    """

    images: np.ndarray
    names: list[str]
    class_names: list[str]
    probabilities: np.ndarray
    predicted: np.ndarray
    classes: np.ndarray | None
    attention: dict[str, np.ndarray]
    evidence: dict[str, np.ndarray]
    total: np.ndarray
    rest: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    def rows(self) -> list[dict[str, Any]]:
        """For each image its name, the predicted class and its probability, and the class explained."""
        rows = []
        for index, name in enumerate(self.names):
            best = self.predicted[index]
            row = {"image": name, "predicted": self.class_names[best]}
            row["probability"] = float(self.probabilities[index, best])
            if self.classes is not None:
                row["explained"] = self.class_names[self.classes[index]]
                row["evidence"] = float(self.total[index].sum())
                row["rest"] = float(self.rest[index])
            rows.append(row)
        return rows

    def to_frame(self):
        """The rows as a pandas DataFrame.

        Raises:
            UserError: pandas is not installed.
        """
        try:
            import pandas
        except ModuleNotFoundError:
            raise UserError("to_frame needs pandas, which is not installed; pip install pandas") from None
        return pandas.DataFrame(self.rows())

    def show(self, limit: int = 8) -> None:
        """Draw the first images with their maps: in a notebook below the cell, else in a window.

        Raises:
            UserError: matplotlib is not installed, or all classes were asked for.
        """
        with needs("show", extra="serve"):
            import matplotlib.pyplot as plt
        for index in range(min(limit, len(self))):
            pixels = self.draw(index)
            figure = plt.figure(figsize=(pixels.shape[1] / 100, pixels.shape[0] / 100))
            axis = figure.add_axes((0, 0, 1, 1))
            axis.imshow(pixels)
            axis.set_axis_off()
        plt.show()

    def save(self, folder: str | Path) -> list[Path]:
        """Write a drawing of each image, `<name>.png`, and `explanation.csv`; the paths of the drawings.

        Raises:
            UserError: matplotlib is not installed, or all classes were asked for.
        """
        from attention_keras.data.files import stems
        from attention_keras.drawing.canvas import png

        folder = Path(folder)
        drawings = [png(self.draw(index)) for index in range(len(self))]
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"{stem}.png" for stem in stems(Path(name) for name in self.names)]
        for path, drawing in zip(paths, drawings):
            path.write_bytes(drawing)
        with (folder / "explanation.csv").open("w", newline="", encoding="utf-8") as file:
            rows = self.rows()
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        return paths

    def draw(self, index: int) -> np.ndarray:
        """One image beside its attention and the evidence of its class, uint8 RGB.

        The colours of evidence are in logits per 1 % of the image's area.
        """
        if self.classes is None:
            raise UserError(
                "a drawing is of one class: explain(model, images, of='predicted'), or of a class"
            )
        with needs("a drawing", extra="serve"):
            from attention_keras.drawing.images import panel
        predicted = self.predicted[index]
        title = f"{self.class_names[predicted]} ({self.probabilities[index, predicted]:.0%})"
        head = f"evidence: {self.class_names[self.classes[index]]}"
        maps = {tap: level[index] for tap, level in self.attention.items()}
        return panel(_pixels(self.images[index]), maps, title, evidence={head: self.total[index]})


def _pixels(image: np.ndarray) -> np.ndarray:
    """An image as uint8 RGB, whatever numbers the model takes."""
    low, high = float(image.min()), float(image.max())
    if low < 0 or high <= 1 or high > 255:
        image = (image - low) * (255 / ((high - low) or 1.0))
    image = image.round().astype("uint8")
    return image[..., :3] if image.shape[-1] >= 3 else image[..., :1].repeat(3, axis=-1)
