"""What a person sees while a model trains: images per second, time left, one line per epoch."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import keras
from tqdm import tqdm

from attention_keras.runs.durations import duration
from attention_keras.training.history import History
from attention_keras.training.stages import Stage


class Progress(keras.callbacks.Callback):
    """A bar over all images of the run, on a terminal, and a line for `report` about each finished epoch."""

    def __init__(
        self, history: History, stages: Sequence[Stage], report: Callable[[str], None], show_bar: bool
    ):
        super().__init__()
        self.history, self.stages, self.report, self.show_bar = history, stages, report, show_bar
        self.epochs = stages[-1].last

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Inside, the bar is there."""
        with tqdm(
            total=self.epochs * self.history.images_per_epoch,
            initial=self.history.images_seen,
            unit=" images",
            unit_scale=True,
            dynamic_ncols=True,
            disable=None if self.show_bar else True,
            leave=False,
        ) as self._bar:
            yield

    def on_train_batch_end(self, batch, logs=None):
        self._bar.update(self.history.images_seen - self._bar.n)
        if logs and not self._bar.disable and self.history.step % 10 == 0:
            said = f"loss {logs['loss']:.3f} accuracy {logs['accuracy']:.1%}"
            self._bar.set_postfix_str(said, refresh=False)

    def on_epoch_end(self, epoch, logs=None):
        record = self.history.records[-1]
        speed = record["images_per_second"]
        # Of a later stage the speed is not known: with all weights an epoch may take a hundred times as long.
        stage = next(stage for stage in self.stages if epoch < stage.last)
        left = duration((stage.last - epoch - 1) * self.history.images_per_epoch / speed)
        of_what = "" if stage is self.stages[-1] else " of the frozen epochs"
        self._bar.clear()
        self.report(
            f"epoch {epoch + 1:>3}/{self.epochs}  loss {record['loss']:.4f}  "
            f"accuracy {record['accuracy']:.1%}  validation {record['val_accuracy']:.1%}  "
            f"{speed:,.{0 if speed >= 10 else 1}f} images/s  {left} left{of_what}"
        )
