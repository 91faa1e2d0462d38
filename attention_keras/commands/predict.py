"""`attention-keras predict`: what a model says of image files, as a table and as drawings."""

import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from attention_keras.commands.command_line import import_tensorflow, parse
from attention_keras.errors import UserError
from attention_keras.runs.options import Rule, at_least, check_values, option

DESCRIPTION = """Say what a model sees in images: one on this machine, or one on a server.

Examples:
  attention-keras predict runs/photos new/ --output answers
  attention-keras predict saved_models/photos cat.jpg "holiday/*.png" --format jsonl --no-pictures
  attention-keras predict runs/photos new/ --overview --maps npz
  find . -name "*.jpg" -mtime -1 | attention-keras predict runs/photos - --shard 3/16
  attention-keras predict --url http://localhost:8501/v1/models/photos cat.jpg

Writes a row for every image, and the image with where the model looked (attention) and what for
(evidence: red speaks for the predicted class, blue against it). A file that cannot be read gets a row that
says why; the exit code is 1 where none could be read.

The same command goes on where it was stopped: an image that has a row in the table is not answered again."""

SHARD = Rule(
    lambda text: not text or (re.fullmatch(r"[1-9]\d*/[1-9]\d*", text) and Fraction(text) <= 1),
    "1/16 to 16/16, or the like",
)


@dataclass(frozen=True)
class PredictOptions:
    """Which model, and which images."""

    model: str = option(place="MODEL")
    """A run directory, a .keras file, or a SavedModel directory. Left out with --url."""
    files: tuple[str, ...] = option((), place="[FILES]")
    """Image files, folders, patterns, @FILE with one of these in each line, or - for lines from stdin."""
    url: str = option("")
    """A model on a TensorFlow Serving server: http://HOST:8501/v1/models/NAME."""
    output: str = option("predictions")
    """Folder for the table and the drawings."""
    format: Literal["csv", "jsonl", "parquet"] = option("csv")
    """predictions.jsonl has a line for each answer at once; csv and parquet are made of it at the end."""
    shard: str = option("", rule=SHARD)
    """3/16 answers the third of 16 parts of the images, into predictions-3-of-16."""
    top: int = option(3, rule=at_least(1))
    """How many classes to name for each image."""
    pictures: bool = option(True)
    """Draw each image with its attention and evidence."""
    maps: Literal["none", "npz"] = option("none")
    """npz writes the numbers of all maps of an image into maps/NAME.npz."""
    overview: bool = option(False)
    """Write index.html with all drawings in the folder, to sort and to filter."""
    batch_size: int = option(32, rule=at_least(1))
    """Images at a time."""

    __post_init__ = check_values


def main(words: Sequence[str], prog: str) -> int:
    options = parse(PredictOptions, words, description=DESCRIPTION, prog=prog)
    files = (options.model, *options.files) if options.url else options.files
    if not files:
        raise UserError("no image was given; type names of image files or folders")
    if options.overview and not options.pictures:
        raise UserError("--overview shows drawings; leave out --no-pictures")
    from attention_keras.data.files import find_images, in_shard, in_words

    (chosen, passed_over), name = find_images(files, Path(options.output)), "predictions"
    if options.shard:
        number, count = map(int, options.shard.split("/"))
        chosen, name = in_shard(chosen, number, count), f"predictions-{number}-of-{count}"
    import_tensorflow("predict")
    from attention_keras.evaluation.predictions import record
    from attention_keras.evaluation.predictions.answers import predict_files
    from attention_keras.evaluation.subjects.load import load_predictor
    from attention_keras.serving.served_model import RemoteModel

    predictor = RemoteModel(options.url) if options.url else load_predictor(options.model)
    if options.overview and predictor.activation == "linear":
        raise UserError("--overview is for classes and tags; this model answers with a number")
    top, maps = min(options.top, predictor.num_classes), options.maps == "npz"
    with record.open_record(Path(options.output, f"{name}.jsonl"), _settings(options)) as table:
        left = [file for file in chosen if str(file) not in table.answered]
        explain = options.pictures or maps
        answers = predict_files(predictor, left, batch_size=options.batch_size, explain=explain)
        began = time.perf_counter()
        try:
            record.write_predictions(
                answers, len(left), table, predictor, top=top, pictures=options.pictures, maps=maps
            )
        finally:  # of what was answered before a stop, too
            written = table.path
            if table.path.exists() and options.format != "jsonl":
                written = record.write_table(table.path, options.format, top)
        speed = len(left) / (time.perf_counter() - began)
        if options.overview:
            print(f"overview in {record.write_overview(table.path.parent)}")
    read = sum(table.answered.values())
    unread = len(table.answered) - read
    said = f"{speed:.0f} a second" if left else "all answered before"
    print(f"{read:,} {'image' if read == 1 else 'images'} in {written}, {said}")
    if passed_over:
        print(f"passed over: {in_words(passed_over)}")
    if unread:
        print(f"warning: {unread:,} files could not be read; their rows say why", file=sys.stderr)
    return 1 if unread and not read else 0


def _settings(options: PredictOptions) -> dict[str, Any]:
    """What rows of one table have in common: of the model, which one, and when it was written."""
    settings = {"top": options.top, "pictures": options.pictures, "maps": options.maps}
    if options.url:
        return {"model": options.url, **settings}
    path, inside = Path(options.model).resolve(), ("*.keras", "saved_model.pb", "*/saved_model.pb")
    files = [path] if path.is_file() else [file for name in inside for file in path.glob(name)]
    written = max((file.stat().st_mtime for file in files), default=None)
    return {"model": str(path), "written": written, **settings}
