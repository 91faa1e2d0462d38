"""`attention-keras predict`: what a model says of image files, as a table and as drawings."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from attention_keras.commands.command_line import parse
from attention_keras.commands.quiet_start import import_tensorflow
from attention_keras.errors import UserError
from attention_keras.runs.open_fields import Empty, Unset

DESCRIPTION = """Say what a model sees in images: one on this machine, or one on a server.

Examples:
  attention-keras predict runs/photos new/ --output answers
  attention-keras predict saved_models/photos cat.jpg "holiday/*.png" --format jsonl --no-pictures
  attention-keras predict --url http://localhost:8501/v1/models/photos cat.jpg

Writes a row for every image, and the image with where the model looked (attention) and what for
(evidence: red speaks for the predicted class, blue against it). A file that cannot be read gets a row that
says why."""


@dataclass(frozen=True)
class PredictOptions:
    """Which model, and which images."""

    model: Positional[str]
    """A run directory, a .keras file, or a SavedModel directory. Left out with --url."""
    files: Positional[Empty[tuple[str, ...]]]
    """Image files, folders, or patterns."""
    url: Unset[str] = None
    """A model on a TensorFlow Serving server: http://HOST:8501/v1/models/NAME."""
    output: str = "predictions"
    """Folder for predictions.csv (or .jsonl) and the drawings."""
    format: Literal["csv", "jsonl"] = "csv"
    """A table, or a JSON object a line."""
    top: int = 3
    """How many classes to name for each image."""
    pictures: bool = True
    """Draw each image with its attention and evidence."""
    batch_size: int = 32
    """Images at a time."""


def main(words: Sequence[str], prog: str) -> int:
    """The command line; the return value is the exit code."""
    options = parse(PredictOptions, words, description=DESCRIPTION, prog=prog)
    files = (options.model, *options.files) if options.url else options.files
    if not files:
        raise UserError("no image was given; type names of image files or folders")
    if options.top < 1 or options.batch_size < 1:
        raise UserError("--top and --batch-size must be 1 or more")
    from attention_keras.data.files import find_images, in_words

    found = find_images(files, Path(options.output))
    import_tensorflow("predict")
    from attention_keras.evaluation.prediction import predict_files
    from attention_keras.evaluation.prediction_files import write_predictions
    from attention_keras.evaluation.subjects.load import load_predictor
    from attention_keras.serving.remote import RemoteModel

    predictor = RemoteModel(options.url) if options.url else load_predictor(options.model)
    answers = predict_files(
        predictor,
        found.files,
        batch_size=options.batch_size,
        explain=options.pictures,
    )
    done = write_predictions(
        answers, found.files, Path(options.output), predictor, table=options.format, top=options.top
    )
    print(f"{done.read:,} images in {done.table}, {done.speed:.0f} a second")
    if found.passed_over:
        print(f"passed over: {in_words(found.passed_over)}")
    if done.unread:
        print(f"warning: {done.unread:,} files could not be read; their rows say why", file=sys.stderr)
    return 0
