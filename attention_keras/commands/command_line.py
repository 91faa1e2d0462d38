"""From a dataclass to a command line, and from a user's mistake to one line and exit code 2."""

import contextlib
import io
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import TypeVar

from attention_keras.commands.quiet_start import quiet_pictures
from attention_keras.errors import UserError
from attention_keras.runs.config import RunConfig

Options = TypeVar("Options")
USER_ERROR = 2
STOPPED = 130  # as shells say that SIGINT ended it
NO_READER = 141  # and SIGPIPE
NO_NUMBER = re.compile(
    r"Error parsing (?P<flag>--\S+): "
    r"(no type matching (\{None\}\|)?|could not convert string to |invalid literal for )"
    r"(?P<kind>INT|FLOAT|int|float)\b.*'(?P<value>.*)'"
)


def parse(
    options_type: type[Options],
    words: Sequence[str] | None = None,
    *,
    description: str | None = None,
    prog: str | None = None,
) -> Options:
    """An instance of `options_type` from command-line words: a field is a flag, the text under it its help.

    A word that is not understood raises UserError, and `--help` leaves with exit code 0.
    """
    import tyro  # a command without its extra says so in one line; it gets as far as this

    from attention_keras.commands.open_choices import RULES

    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(options_type, args=words, description=description, prog=prog, registry=RULES)
    except SystemExit as exit_request:
        if exit_request.code in (0, None):
            raise
        raise UserError(_one_line(complaint.getvalue())) from None


def _one_line(box: str) -> str:
    """tyro frames its complaints in a box; keep what it says before the first blank line or rule."""
    sentences: list[str] = []
    for line in box.splitlines():
        if line.startswith(("╭", "╰")):
            continue
        text = line.strip("│ ")
        if not text or not text.strip("─"):
            break
        sentences.append(text)
    # First it names the dataclass or the group that refused a value, which means nothing to the user.
    message = re.sub(r"^Error parsing \w+: ", "", " ".join(sentences))
    if refused := NO_NUMBER.match(message):
        kind = "a whole number" if refused["kind"] in ("INT", "int") else "a number, such as 0.25"
        message = f"{refused['flag']} takes {kind}; got {refused['value']!r}"
    message = message or "the command line was not understood"
    suggestion = re.search(r"Perhaps you meant:\W+(--[\w-]+)", box)
    hint = f"; perhaps you meant {suggestion[1]}" if suggestion else ""
    return f"{message.rstrip('.')}{hint} (--help shows every flag)"


def in_flags(message: str) -> str:
    """What the library says of its arguments, in the command's words: `frozen_epochs` is --frozen-epochs.

    A name is one where it has an underscore, stands in backticks, or begins what must be.
    """
    names = {field.name for field in fields(RunConfig)}
    with contextlib.suppress(ModuleNotFoundError):  # of tyro, which the message may be about
        from attention_keras.evaluation.options import AllOptions

        names |= {field.name for field in fields(AllOptions)}
    words = "|".join(sorted(names, key=len, reverse=True))
    long = "|".join(name for name in sorted(names, key=len, reverse=True) if "_" in name)
    pattern = rf"`({words})`|(?<![\w/.-])({long})\b(?![/.]\w)|^({words})(?= must|:)"
    return re.sub(pattern, lambda found: "--" + found[found.lastindex].replace("_", "-"), message)


def exit_code(main: Callable[[], int | None]) -> int:
    """Run `main` without remarks of libraries on pictures; a UserError becomes one line on stderr and exit
    code 2, Ctrl-C one word and exit code 130; a bug keeps its traceback.

    Where nobody reads the output any more, the program ends without a word.
    """
    quiet_pictures()
    try:
        code = main() or 0
        sys.stdout.flush()
        return code
    except UserError as error:
        message = in_flags(" ".join(str(error).split()))
        print(f"error: {message}", file=sys.stderr)
        return USER_ERROR
    except BrokenPipeError:  # of stdout, as in `attention-keras list-models | head -3`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NO_READER
    except KeyboardInterrupt:
        pass  # its traceback keeps progress bars on the line until here
    print("stopped", file=sys.stderr)
    return STOPPED
