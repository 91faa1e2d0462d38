"""The answer of explain(): numbers, and drawings of them."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np

from attention_keras.errors import UserError, needs
from attention_keras.models.evidence import combine_evidence
from attention_keras.models.outputs import EVIDENCE_REST, attention_maps, evidence_maps

TOTAL = "evidence"


@dataclass(frozen=True, eq=False)
class Explanation:
    """What `explain` returns, for n images and k classes.

    The sum of the evidence of all maps and the rest is the logit of the class: less the mean logit with a
    softmax, of which a shift of all logits changes nothing; less the other class's with `versus`.

    Attributes:
        images: `(n, H, W, c)`, as they were given.
        names: of the images: paths of their files, or numbers.
        class_names: k names: `model.class_names`, or ImageNet's where Keras has them; else numbers.
        probabilities: `(n, k)`; of a regression, what it predicts.
        predicted: `(n,)`, the class of the highest probability.
        classes: `(n,)`, the class that is explained; None for all.
        rivals: `(n,)`, the class that it is explained against, with `versus`; else None.
        attention: tap -> `(n, h, w)`; empty of a model without.
        evidence: map -> `(n, h, w)`, above 0 for the class and below 0 against it; for all classes
            `(n, h, w, k)`. In units of logits. A served model gives it at the size of the images.
        total: the evidence of all maps at the size of the images: `(n, H, W)`, for all classes
            `(n, H, W, k)`; None where a served model or `predict` has no evidence.
        activation: of the model's last layer; `linear` of numbers.
        rest: `(n,)` or `(n, k)`, what the classifier adds wherever it looks; None where there is no evidence.

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
    classes: np.ndarray | None
    attention: dict[str, np.ndarray]
    evidence: dict[str, np.ndarray]
    total: np.ndarray | None
    rest: np.ndarray | None
    rivals: np.ndarray | None = None
    activation: str = "softmax"

    @classmethod
    def of_outputs(
        cls,
        images: np.ndarray,
        probabilities: np.ndarray,
        outputs: Mapping[str, np.ndarray],
        class_names: Sequence[str] | None,
        classes: np.ndarray | None,
        names: Sequence[str] | None = None,
        rivals: np.ndarray | None = None,
        activation: str = "softmax",
        **more: Any,
    ) -> Self:
        """From the outputs of an evidence model or of a server, asked for these classes; None is for all."""
        evidence, total, rest = evidence_maps(outputs), outputs.get(TOTAL), outputs.get(EVIDENCE_REST)
        if evidence and total is None:
            total = keras.ops.convert_to_numpy(combine_evidence(evidence, images.shape[1:3]))
        if rest is not None and rest.ndim > (2 if classes is None else 1):
            rest = rest.sum(axis=1)  # of all levels
        names = list(names or map(str, range(len(images))))
        class_names = list(class_names or map(str, range(probabilities.shape[-1])))
        answers = (images, names, class_names, probabilities, classes, attention_maps(outputs))
        return cls(*answers, evidence, total, rest, rivals, activation, **more)

    @property
    def predicted(self) -> np.ndarray:
        return self.probabilities.argmax(-1)

    def __len__(self) -> int:
        return len(self.images)

    def rows(self) -> list[dict[str, Any]]:
        """For each image its name, the predicted class and its probability, and the class explained."""
        rows = []
        for index, (name, best) in enumerate(zip(self.names, self.predicted)):
            row = {"image": name, "predicted": self.class_names[best]}
            row["probability"] = float(self.probabilities[index, best])
            if self.classes is not None and self.total is not None and self.rest is not None:
                row["explained"] = self._explained(index)
                row["evidence"] = float(self.total[index].sum())
                row["rest"] = float(self.rest[index])
            rows.append(row)
        return rows

    def to_frame(self):
        """The rows as a pandas DataFrame; UserError where pandas is not installed."""
        with needs("to_frame", extra="train"):
            import pandas
        return pandas.DataFrame(self.rows())

    def show(self, limit: int = 8) -> None:
        """Draw the first images with their maps: in a notebook below the cell, else in a window.

        UserError where matplotlib is not installed, or all classes were asked for.
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
        """Write a drawing of each image, and `explanation.csv`, which names them; the paths of the drawings.

        UserError where matplotlib is not installed, or all classes were asked for.
        """
        from attention_keras.data.files import unique_stem
        from attention_keras.drawing.cells import png

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"{unique_stem(Path(name))}.png" for name in self.names]
        for index, path in enumerate(paths):
            path.write_bytes(png(self.draw(index)))
        with (folder / "explanation.csv").open("w", newline="", encoding="utf-8") as file:
            rows = [row | {"drawing": path.name} for row, path in zip(self.rows(), paths)]
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        return paths

    def draw(self, index: int, title: str = "", right: bool | None = None) -> np.ndarray:
        """One image beside its attention and the evidence of its class, uint8 RGB, under a title.

        The title is by default the predicted class; `right` colours it. The colours of evidence are in logits
        per 1 % of the image's area.
        """
        with needs("a drawing", extra="serve"):
            from attention_keras.drawing.cells import compose
            from attention_keras.drawing.images import prediction_title
        numbers = "linear" if self.activation == "linear" else "softmax"
        said = prediction_title(self.probabilities[index], self.class_names, None, numbers)[0]
        return compose(self._rows(index), title or said, right)

    def _rows(self, index: int) -> list[list]:
        return [self.cells(index)]

    def cells(self, index: int) -> list:
        """What `draw` puts side by side, a `Cell` each."""
        if self.classes is None:
            raise UserError("a drawing is of one class: explain(model, images, of='predicted')")
        with needs("a drawing", extra="serve"):
            from attention_keras.drawing.images import cells
        image = self.images[index]
        if image.dtype != np.uint8:  # whatever numbers the model takes
            low, high = float(image.min()), float(image.max())
            if low < 0 or high <= 1 or high > 255:
                image = (image - low) * (255 / ((high - low) or 1.0))
            image = image.round().astype("uint8")
        maps = {tap: level[index] for tap, level in self.attention.items()}
        head = f"for {self._explained(index)}".replace(", not ", ",\nnot ")
        return cells(image, maps, {} if self.total is None else {head: self.total[index]})

    def _explained(self, index: int) -> str:
        """The class, and the one that it is explained against."""
        both = [numbers for numbers in (self.classes, self.rivals) if numbers is not None]
        return ", not ".join(self.class_names[numbers[index]] for numbers in both)
