"""How far a long piece of work is: a bar on a terminal, and a line now and then in a file or a pipe."""

import sys

from tqdm import tqdm

BETWEEN_LINES = 30  # seconds


class Bar(tqdm):
    """tqdm for work that takes more than some seconds; quicker work shows nothing. A bar leaves no trace."""

    def __init__(self, iterable=None, **settings):
        in_lines = {"delay": BETWEEN_LINES, "mininterval": BETWEEN_LINES, "miniters": 1}
        settings = {"delay": 3} | settings if sys.stderr.isatty() else settings | in_lines
        super().__init__(iterable, leave=False, **settings)

    @staticmethod
    def status_printer(file):
        """What shows the state: over the line before on a terminal, else as a line of its own."""
        if file.isatty():
            return tqdm.status_printer(file)
        return lambda text: text and print(text, file=file, flush=True)
