"""What the benchmark of training times: networks of this package, and steps from elsewhere."""

import contextlib
import statistics
import subprocess
import tempfile
import time
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


@dataclass(kw_only=True)
class Contestant:
    """What takes turns, and how long its steps took."""

    step_seconds: list[float] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Of a step, the median."""
        return statistics.median(self.step_seconds)


@dataclass
class Case(Contestant):
    """A network in one precision and variant, compiled, and what was measured on it."""

    model: str
    dtype: str
    variant: str
    network: keras.Model
    macs: int
    fused: bool
    compile_seconds: float = 0.0

    def time_steps(self, images: np.ndarray, labels: np.ndarray, batch_size: int) -> float:
        """Seconds of a step, over a short `fit`."""
        stopwatch = Stopwatch()
        with self._batch_norm():
            self.network.fit(images, labels, batch_size, shuffle=False, verbose=0, callbacks=[stopwatch])
        return stopwatch.seconds / (len(images) // batch_size)

    def _batch_norm(self):
        """As `attention-keras train` computes it, or as Keras does."""
        if not self.fused:
            return contextlib.nullcontext()
        from attention_keras.training.batch_norm import fused_batch_norm

        return fused_batch_norm(self.network)

    def row(self, first: Contestant, batch_size: int, peaks: dict[str, float]) -> list[str]:
        """A line of the table."""
        flops = 6 * self.macs * batch_size / self.seconds
        return [
            self.model,
            self.dtype,
            self.variant,
            f"{self.network.count_params():,}",
            f"{self.macs / 1e6:,.0f}",
            f"{self.compile_seconds:.1f}",
            f"{batch_size / self.seconds:,.1f}",
            f"{first.seconds / self.seconds:.2f}",
            f"{flops / 1e9:,.0f}",
            f"{flops / peaks[self.dtype]:.0%}",
        ]


@dataclass
class Rival(Contestant):
    """A training step from elsewhere (`rival.py`), of which nothing is known but the time it takes."""

    name: str
    process: subprocess.Popen

    @classmethod
    def start(cls, path: str, python: str, images: np.ndarray, labels: np.ndarray) -> "Rival":
        """Start the file's process, on this batch, and wait until it has taken a step.

        Raises:
            UserError: there is no such file or interpreter, or its process ended.
        """
        if not Path(path).is_file():
            raise UserError(f"there is no file {path} to compare with")
        with tempfile.TemporaryDirectory() as folder:
            batch = Path(folder) / "batch.npz"
            np.savez(batch, images=images, labels=labels)
            command = [python, str(Path(__file__).with_name("rival.py")), path, str(batch)]
            pipe = subprocess.PIPE
            try:
                rival = cls(Path(path).stem, subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True))
            except OSError as error:
                raise UserError(f"cannot start {python}: {error.strerror}") from None
            rival._answer()
        return rival

    def time_steps(self, images: np.ndarray, labels: np.ndarray, batch_size: int) -> float:
        """Seconds of a step, over as many steps as the others take."""
        print(len(images) // batch_size, file=self.process.stdin, flush=True)
        return float(self._answer())

    def _answer(self) -> str:
        if line := self.process.stdout.readline():
            return line
        self.stop()
        raise UserError(f"{self.name} stopped with exit code {self.process.returncode}; see above")

    def stop(self) -> None:
        """End the process."""
        self.process.communicate()

    def row(self, first: Contestant, batch_size: int, peaks: dict[str, float]) -> list[str]:
        """A line of the table."""
        speed, ratio = batch_size / self.seconds, first.seconds / self.seconds
        return [self.name, *5 * [""], f"{speed:,.1f}", f"{ratio:.2f}", "", ""]
