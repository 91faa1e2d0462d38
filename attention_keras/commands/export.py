"""`attention-keras export`: from a finished run to a versioned SavedModel that appears all at once."""

from collections.abc import Sequence
from dataclasses import dataclass

from tyro.conf import Positional

from attention_keras.commands.command_line import parse
from attention_keras.commands.quiet_start import import_tensorflow
from attention_keras.runs.open_fields import Unset

DESCRIPTION = """Write a finished run as a SavedModel for TensorFlow Serving.

The version appears all at once, so that a server may watch the folder."""


@dataclass(frozen=True)
class ExportOptions:
    """What to export, and where to."""

    run: Positional[str]
    """A finished run directory."""
    to: str = "saved_models"
    """Folder of all exports: <to>/<run's name>/<version>/."""
    version: Unset[int] = None
    """Version number (default: the highest there is, plus one)."""


def main(words: Sequence[str], prog: str) -> int:
    """The command line; the return value is the exit code.

    Args:
        words: after the command's name.
        prog: how the user calls the command.
    """
    options = parse(ExportOptions, words, description=DESCRIPTION, prog=prog)
    import_tensorflow("export")
    from attention_keras.serving.export import export_run

    print(f"exported to {export_run(options.run, options.to, options.version)}")
    return 0
