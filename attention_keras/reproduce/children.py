"""The processes of a grid: all of them are told when the grid is, and it waits until they have ended."""

import contextlib
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import IO

from attention_keras.runs.signals import signals_handled_by


class Stopped(Exception):
    """A signal came before the command had done its work."""


class Children:
    """Runs commands, from several threads at a time, until a signal comes.

    Every process has to end with the grid: one that goes on alone holds its run's folder, and the next
    command is refused there.
    """

    def __init__(self):
        self.stopped_by: signal.Signals | None = None
        self._running: list[subprocess.Popen] = []
        # The handler runs in the main thread wherever that is, also within another handler.
        self._lock = threading.RLock()

    def run(self, command: Sequence[str], output: IO | None, environment: Mapping[str, str]) -> int:
        """Wait for a command; its exit code is below 0 where a signal has killed it.

        Args:
            command: program and arguments.
            output: where both of its streams go; None for those of this process.
            environment: its variables.

        Raises:
            Stopped: a signal came before it began or before it was done.
        """
        with self._lock:
            if self.stopped_by:
                raise Stopped
            process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
            self._running.append(process)
        code = process.wait()
        with self._lock:
            self._running.remove(process)
        if code and self.stopped_by:
            raise Stopped
        return code

    @contextlib.contextmanager
    def told_of_signals(self) -> Iterator[None]:
        """Pass SIGTERM and Ctrl-C on, the second one too, instead of ending at once."""
        with signals_handled_by(self._stop):
            yield

    def _stop(self, number, frame):
        with self._lock:
            self.stopped_by = self.stopped_by or signal.Signals(number)
            for process in self._running:
                # SIGTERM for Ctrl-C too: of that they hear from the terminal, and SIGINT may be ignored.
                process.terminate()
