"""From a dataclass to a command line, and from a user's mistake to one line and exit code 2."""

import contextlib
import io
import itertools
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import MISSING, fields
from typing import Annotated, Any, Required, TypedDict, TypeVar, get_type_hints

from attention_keras.errors import UserError
from attention_keras.evaluation.options import AllOptions
from attention_keras.runs.config import RunConfig
from attention_keras.runs.options import help_of, options_of

Options = TypeVar("Options")
EVERYTHING = "--help-all"
LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
# As shells say that SIGINT ended it, and SIGPIPE.
STOPPED, NO_READER = 130, 141


def parse(options_type: type[Options], words: Sequence[str], *, description: str, prog: str) -> Options:
    """An instance of `options_type`, whose fields are declared by `option`, from command-line words.

    `--help` shows the everyday options, and `--help-all` all of them. They all work in the same way. A word
    that is not understood raises UserError, and help leaves with exit code 0.
    """
    import tyro  # a command without its extra says so in one line; it gets as far as this

    short = not {"-h", "--help"}.isdisjoint(words) and EVERYTHING not in words
    words = ["--help" if word == EVERYTHING else word for word in words]
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            given = tyro.cli(_form(options_type, short), args=words, description=description, prog=prog)
    except SystemExit as exit_request:
        if exit_request.code in (0, None):
            raise
        raise UserError(_one_line(complaint.getvalue())) from None
    try:
        return options_type(**{name: value for group in given.values() for name, value in group.items()})
    except UserError as error:
        raise UserError(in_flags(str(error), options_type)) from None


def _form(options_type: type, everyday_only: bool) -> type:
    """For tyro, a dictionary for each group of options; the short help has of each the first sentence."""
    from tyro.conf import OmitArgPrefixes, Positional, arg

    kinds, helps, options = get_type_hints(options_type), help_of(options_type), options_of(options_type)
    needed = {field.name for field in fields(options_type) if field.default is MISSING}
    everyday_only &= any(about.rare for about in options.values())
    groups: dict[str, dict[str, Any]] = {}
    for name, about in options.items():
        if not (about.rare and everyday_only):
            text = re.split(r"(?<=\.)\s", helps[name])[0] if everyday_only else helps[name]
            hint = f"(default: {about.default})" if about.default else ""
            how = arg(help=" ".join(text.split()), help_behavior_hint=hint, metavar=about.place or None)
            kind: Any = Annotated[kinds[name], how]
            kind = Positional[kind] if about.place else kind
            groups.setdefault(about.group, {})[name] = Required[kind] if name in needed else kind
    forms: Any = {
        name: OmitArgPrefixes[TypedDict(name, group, total=False)] for name, group in groups.items()
    }
    return TypedDict("Form", forms)


def _one_line(box: str) -> str:
    """tyro frames its complaints in a box; keep what it says before the first blank line or rule."""
    lines = [line.strip("│─ ") for line in box.splitlines() if not line.startswith(("╭", "╰"))]
    # First it names the dataclass or the group that refused a value, which means nothing to the user.
    first = " ".join(itertools.takewhile(bool, lines))
    message = re.sub(r"^Error parsing \w+: ", "", first) or "the command line was not understood"
    suggestion = re.search(r"Perhaps you meant:\W+(--[\w-]+)", box)
    hint = f"; perhaps you meant {suggestion[1]}" if suggestion else ""
    return f"{message.rstrip('.')}{hint} (--help shows every flag)"


def in_flags(message: str, *more: type) -> str:
    """What the library says of its arguments, in the command's words: `frozen_epochs` is --frozen-epochs.

    A name is one where it has an underscore, stands in backticks, or begins what must be.
    """
    names = {field.name for kind in (RunConfig, AllOptions, *more) for field in fields(kind)}
    words = "|".join(sorted(names, key=len, reverse=True))
    long = "|".join(name for name in sorted(names, key=len, reverse=True) if "_" in name)
    pattern = rf"`({words})`|(?<![\w/.-])({long})\b(?![/.]\w)|^({words})(?= must|:)"
    return re.sub(pattern, lambda found: "--" + found[found.lastindex].replace("_", "-"), message)


def say(line: str) -> None:
    """Print at once what the library reports."""
    print(in_flags(line), flush=True)


def exit_code(main: Callable[[], int | None]) -> int:
    """Run `main`; a UserError becomes one line on stderr and exit code 2, Ctrl-C one word and exit code 130.

    Remarks of Pillow and Matplotlib on what is odd about an image or a letter name no file, and are kept
    back in all threads; a user who has asked Python for warnings gets them.
    """
    if not sys.warnoptions:
        warnings.filterwarnings("ignore", module=r"PIL\.")
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
    try:
        code = main() or 0
        sys.stdout.flush()
        return code
    except UserError as error:
        print(f"error: {in_flags(' '.join(str(error).split()))}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # of stdout, as in `attention-keras list-models | head -3`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NO_READER
    except KeyboardInterrupt:
        pass  # its traceback keeps progress bars on the line until here
    print("stopped", file=sys.stderr)
    return STOPPED


def import_tensorflow(command: str = "this command") -> None:
    """Import TensorFlow and look for its devices, silently unless that fails; refuse another backend.

    TensorFlow 2.21 prints lines about oneDNN and missing GPU drivers before it reads that variable.
    """
    backend = os.environ.get("KERAS_BACKEND") or "tensorflow"
    if backend != "tensorflow":
        raise UserError(f"{command} runs on TensorFlow, and KERAS_BACKEND is {backend}; unset that variable")
    if LOG_LEVEL in os.environ or "tensorflow" in sys.modules:
        return
    os.environ[LOG_LEVEL] = "2"
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)
        try:
            import tensorflow as tf

            tf.config.list_physical_devices()
        except Exception:
            held_back.seek(0)
            os.write(stderr, held_back.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
