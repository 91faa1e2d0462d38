"""`attention-keras ask`: ask a model server about pictures."""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from attention_keras.commands.command_line import parse
from attention_keras.data.geometry import MEGAPIXELS, Resize, check_megapixels
from attention_keras.errors import UserError
from attention_keras.runs.open_fields import Empty, Unset

DESCRIPTION = """Ask a model server about pictures: the most likely classes, and where the model looked.

Examples:
  attention-keras ask cat.jpg dog.png --url http://localhost:8501/v1/models/demo
  attention-keras ask *.png --url grpc://localhost:8500/v1/models/demo --labels saved_models/demo/1
  attention-keras ask cat.jpg --signature explain
  attention-keras ask cat.jpg --evidence-for dog --labels saved_models/demo/1

A file that cannot be read gets a line that says why."""


@dataclass(frozen=True)
class AskOptions:
    """Which pictures to ask about, and whom."""

    images: Positional[Empty[tuple[str, ...]]]
    """Picture files."""
    url: str = "http://localhost:8501/v1/models/demo"
    """Server and model: http(s):// for REST, grpc(s):// for gRPC; /versions/N or /labels/NAME may follow."""
    labels: Unset[str] = None
    """File of class names, or a run or export that has one; without it classes are numbers."""
    output: str = "attention"
    """Folder for the overlay PNGs."""
    signature: Literal["serve_bytes", "explain"] = "serve_bytes"
    """What is asked: classes and attention; explain adds the evidence for the most likely class."""
    evidence_for: Unset[str] = None
    """Class, by name or number, to draw the evidence for (signature explain_class)."""
    resize: Resize = "crop"
    """How the model brings pictures of another shape to its own; its card says."""
    top: int = 3
    """How many classes to print for each picture."""
    timeout: float = 10.0
    """Seconds for one request."""
    retries: int = 3
    """Tries after the first where the server cannot be reached."""
    megapixels: int = MEGAPIXELS
    """Pictures with more millions of pixels than this are not read."""


def main(words: Sequence[str], prog: str) -> int:
    """The command line; the return value is the exit code.

    Args:
        words: after the command's name.
        prog: how the user calls the command.
    """
    options = parse(AskOptions, words, description=DESCRIPTION, prog=prog)
    if not options.images:
        raise UserError("no picture was given; type the names of one or more picture files")
    if options.top < 1 or options.timeout <= 0 or options.retries < 0:
        raise UserError("--top must be 1 or more, --timeout more than 0, --retries 0 or more")
    check_megapixels(options.megapixels)
    for file in options.images:
        if not os.path.lexists(file):
            raise UserError(f"there is no file {file}")
    from attention_keras.data.picture_files import stems
    from attention_keras.serving.client import Picture, describe, read_labels, write_overlays
    from attention_keras.serving.connection import Connection
    from attention_keras.serving.explanations import describe_evidence, write_evidence

    class_names = read_labels(options.labels) if options.labels else None
    answers = _asker(options, class_names)
    connection = Connection(
        options.url, timeout=options.timeout, retries=options.retries, resize=options.resize
    )
    read = _read(options)
    pictures = [picture for picture in read if isinstance(picture, Picture)]
    answered = zip(stems([p.path for p in pictures]), answers(connection, pictures), strict=True)
    folder = Path(options.output)
    unread = 0
    for picture in read:
        if isinstance(picture, UserError):
            print(picture)
            unread += 1
            continue
        stem, (answer, explanation) = next(answered)
        if answer is None:
            print(f"cannot read {picture.path}: the server could not decode it")
            unread += 1
            continue
        said = [f"{picture.path}: {describe(answer.probabilities, class_names, options.top)}"]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            said += write_overlays(picture, answer, folder, stem, options.resize)
            if explanation is not None:
                said.append(describe_evidence(explanation, class_names))
                said += write_evidence(picture, explanation, folder, stem, options.resize)
        except OSError as error:
            raise UserError(f"cannot write to {folder}: {error.strerror}; choose another --output") from None
        print(*said, sep="\n  ")
    if unread:
        print(f"warning: {unread:,} files could not be read; their lines say why", file=sys.stderr)
    return 0


def _read(options: AskOptions) -> list:
    """Each picture, or the UserError that says why it cannot be read."""
    from attention_keras.serving.client import read_picture

    read: list = []
    for file in options.images:
        try:
            read.append(read_picture(file, options.megapixels))
        except UserError as reason:
            read.append(reason)
    return read


def _asker(options: AskOptions, class_names: Sequence[str] | None) -> Callable:
    """(connection, pictures) -> for each picture its answer, and the explanation where one is asked for."""
    from attention_keras.serving.client import ask
    from attention_keras.serving.explanations import class_number, explain

    if options.evidence_for is None and options.signature == "serve_bytes":
        return lambda connection, pictures: ((answer, None) for answer in ask(connection, pictures))
    asked = None if options.evidence_for is None else class_number(options.evidence_for, class_names)
    return lambda connection, pictures: ((e.answer, e) for e in explain(connection, pictures, asked))
