"""What the benchmark of training times: networks of this package, and steps from elsewhere."""

import importlib.util
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np

from attention_keras.errors import UserError


class Stopwatch(keras.callbacks.Callback):
    """Seconds from the first step of a `fit` to its last.

    `fit` itself returns later: giving up an iterator, tf.data waits for its tuning thread to wake, which can
    take as long again (see docs/performance.md).
    """

    def on_train_begin(self, logs=None):
        self.began = time.perf_counter()

    def on_train_end(self, logs=None):
        self.seconds = time.perf_counter() - self.began


@dataclass
class Case:
    """A network in one precision and variant, compiled, and what was measured on it."""

    model: str
    dtype: str
    variant: str
    view: keras.Model
    macs: int
    compile_seconds: float = 0.0
    step_seconds: list[float] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Of a step, the median."""
        return statistics.median(self.step_seconds)

    def time_steps(self, images: np.ndarray, labels: np.ndarray, batch_size: int) -> float:
        """Seconds of a step, over a short `fit`."""
        stopwatch = Stopwatch()
        self.view.fit(images, labels, batch_size, shuffle=False, verbose=0, callbacks=[stopwatch])
        return stopwatch.seconds / (len(images) // batch_size)

    def row(self, first: "Case | Rival", batch_size: int, peaks: dict[str, float]) -> list[str]:
        """A line of the table."""
        flops = 6 * self.macs * batch_size / self.seconds
        return [
            self.model,
            self.dtype,
            self.variant,
            f"{self.view.count_params():,}",
            f"{self.macs / 1e6:,.0f}",
            f"{self.compile_seconds:.1f}",
            f"{batch_size / self.seconds:,.1f}",
            f"{first.seconds / self.seconds:.2f}",
            f"{flops / 1e9:,.0f}",
            f"{flops / peaks[self.dtype]:.0%}",
        ]


@dataclass
class Rival:
    """A training step from elsewhere, of which nothing is known but the time it takes."""

    name: str
    step: Callable[[], object]
    step_seconds: list[float] = field(default_factory=list)

    @classmethod
    def load(cls, path: str, images: np.ndarray, labels: np.ndarray) -> "Rival":
        """The step that a file defines, on this batch.

        Raises:
            UserError: there is no such file, or it defines none.
        """
        spec = importlib.util.spec_from_file_location("rival", path) if Path(path).is_file() else None
        if spec is None:
            raise UserError(f"there is no Python file {path} to compare with")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        if not hasattr(module, "training_step"):
            raise UserError(f"{path} defines no training_step(images, labels)")
        return cls(Path(path).stem, module.training_step(images, labels))

    seconds = Case.seconds

    def time_steps(self, images: np.ndarray, labels: np.ndarray, batch_size: int) -> float:
        """Seconds of a step, over as many steps as the others take."""
        steps = len(images) // batch_size
        began = time.perf_counter()
        for _ in range(steps):
            self.step()
        return (time.perf_counter() - began) / steps

    def row(self, first: "Case | Rival", batch_size: int, peaks: dict[str, float]) -> list[str]:
        """A line of the table."""
        speed, ratio = batch_size / self.seconds, first.seconds / self.seconds
        return [self.name, *5 * [""], f"{speed:,.1f}", f"{ratio:.2f}", "", ""]
