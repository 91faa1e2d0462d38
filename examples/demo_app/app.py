"""A page to try a model on one's own pictures: drop one in, see the classes, where the model looks, and what
speaks for a class of your choice.

    pip install ".[demo-app]"
    python examples/demo_app/app.py saved_models/demo
    python examples/demo_app/app.py http://localhost:8501/v1/models/demo --labels saved_models/demo/1

The model is an export, which is loaded here, or the URL of a model server.
"""

import base64
import html
import io
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from PIL import Image

from attention_keras.commands.command_line import exit_code, parse
from attention_keras.commands.quiet_start import import_tensorflow
from attention_keras.data.geometry import Resize
from attention_keras.drawing.maps import overlay, signed_words
from attention_keras.errors import UserError
from attention_keras.extras import needs
from attention_keras.serving.card import read_card
from attention_keras.serving.client import Picture, ask, read_labels, read_picture
from attention_keras.serving.connection import Connection
from attention_keras.serving.explanations import Served, describe_evidence, explain
from attention_keras.serving.versions import newest_version

TOP = 5
HEIGHT, NARROWEST = 282, 280  # pixels; the drop zone is as high as five classes
FONTS = ["system-ui", "sans-serif"]  # some releases of gradio fetch their own from the network
HELP = """# Where does it look?
Drop a picture in. It comes back with the attention maps over it, from early to late levels; bright is where
the model looks. Each map has its own scale, from its lowest to its highest value; both stand under it.

Evidence is what each place says for a class: red speaks for it, blue against it. What all places say, and
what stands beside the picture, add up to the logit of the class, less the mean of all logits."""
STYLE = """
#maps .html-container, #evidence .html-container {padding: 0}
.maps {display: grid; grid-template-columns: repeat(auto-fit, minmax(240px, 1fr)); gap: 16px}
.maps figure {margin: 0; max-width: 512px}
.maps img {width: 100%}
.maps figcaption {padding-top: 4px; overflow-wrap: anywhere}
"""


@dataclass(frozen=True)
class AppConfig:
    """Which model, and where the page is."""

    model: tyro.conf.Positional[str]
    """An export (saved_models/NAME, or one version in it), or a server's http(s):// or grpc(s):// URL."""
    labels: str | None = None
    """File of class names, or a run or export that has one (default: the export's own)."""
    resize: Resize = "crop"
    """How a server's model brings pictures of another shape to its own (an export says so itself)."""
    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 lets other machines in."""
    port: int = 7860
    """Port of the page."""


class LoadedExport:
    """An export in this process, called as a server is.

    Args:
        version: the version's directory.

    Raises:
        UserError: it cannot be loaded, or does not take picture files.
    """

    def __init__(self, version: Path):
        import_tensorflow()
        import tensorflow as tf

        self.resize: Resize = read_card(version).get("resize", "stretch")
        try:
            self._loaded = tf.saved_model.load(str(version))
        except (OSError, KeyError, ValueError, RuntimeError, tf.errors.OpError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UserError(f"cannot load {version}: {reason}") from None
        if "serve_bytes" not in self._loaded.signatures:
            raise UserError(
                f"{version} has no signature serve_bytes; give an export of attention_keras, of a model that "
                "takes images of one size"
            )

    def call(self, signature: str, **inputs: Any) -> dict[str, np.ndarray]:
        """As Connection.call."""
        import tensorflow as tf

        tensors = {name: tf.constant(value) for name, value in inputs.items()}
        return {name: value.numpy() for name, value in self._loaded.signatures[signature](**tensors).items()}

    def image_shape(self, signature: str) -> tuple[int | None, ...] | None:
        """As Connection.image_shape."""
        if signature not in self._loaded.signatures:
            return None
        _, taken = self._loaded.signatures[signature].structured_input_signature
        return tuple(taken["images"].shape[1:]) if "images" in taken else None


def open_model(config: AppConfig) -> tuple[Served, list[str] | None]:
    """The model and its class names, None where a server's are not given.

    Raises:
        UserError: there is no such model.
    """
    if "://" in config.model:
        served = Connection(config.model, resize=config.resize)
        return served, read_labels(config.labels) if config.labels else None
    path = Path(config.model)
    version = path if (path / "saved_model.pb").is_file() else newest_version(path)
    if version is None:
        raise UserError(f"there is no export at {path}; give a folder that train.py exported to, or a URL")
    return LoadedExport(version), read_labels(config.labels or version)


def look(model: Served, class_names: list[str] | None, picture: Picture) -> tuple[dict, list]:
    """The classes of one picture, and where the model looks.

    Returns:
        Probability by class (k of them), and pictures `(H, W, 3)` with their titles: first the one that was
        given, by the name of its file, then the same with the map of each tap over it.

    Raises:
        UserError: the model cannot decode the picture, or does not answer.
    """
    (answer,) = ask(model, [picture])
    if answer is None:
        raise UserError("the model cannot decode this picture; save it as PNG or JPEG")
    classes = dict(zip(_names(class_names, len(answer.probabilities)), answer.probabilities.tolist()))
    shown = [(picture.pixels, picture.path.name)]
    for tap, level in answer.maps.items():
        title = f"{tap}, {level.shape[0]}x{level.shape[1]}: {level.min():.2g} to {level.max():.2g}"
        shown.append((overlay(picture.seen(level.shape, model.resize), level), title))
    return classes, shown


def why(model: Served, class_names: list[str] | None, picture: Picture, asked: int) -> tuple[str, list]:
    """What speaks for a class in one picture.

    Returns:
        The sum in words, and pictures `(H, W, 3)` with their titles: evidence of all levels over the picture,
        then that of each tap; nothing where the model has no evidence.

    Raises:
        UserError: the model does not answer.
    """
    if model.image_shape("explain_class") is None:
        return "", []
    (explanation,) = explain(model, [picture], asked)
    low, high = signed_words(explanation.limit)
    shown = [
        (pixels, f"{name.replace('_', ', ')}: {low} to {high}")
        for name, pixels in explanation.overlays(picture, model.resize).items()
    ]
    names = _names(class_names, len(explanation.answer.probabilities))
    return describe_evidence(explanation, names), shown


def _names(class_names: list[str] | None, count: int) -> list[str]:
    """One name for each of `count` classes; where two classes share one, their numbers tell them apart."""
    if class_names is None:
        return [f"class {number}" for number in range(count)]
    if len(class_names) != count:
        raise UserError(f"the model has {count} classes, but there are {len(class_names)} names")
    times = Counter(class_names)
    return [f"{name} ({i})" if times[name] > 1 else name for i, name in enumerate(class_names)]


def figures(shown: Sequence[tuple[np.ndarray, str]]) -> str:
    """HTML of pictures `(H, W, 3)` side by side, each with its title under it."""
    parts = []
    for pixels, title in shown:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        source = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
        title = html.escape(title)
        parts.append(f'<figure><img src="{source}" alt="{title}"><figcaption>{title}</figcaption></figure>')
    return f'<div class="maps">{"".join(parts)}</div>'


def build_page(model: Served, class_names: list[str] | None):
    """The page as a `gradio.Blocks`; nothing on it is fetched from elsewhere, nothing is reported."""
    import gradio

    def answer(path):
        """What stands in the drop zone (nothing: it is free for the next picture), and all that is shown."""
        try:
            picture = read_picture(path)
            classes, shown = look(model, class_names, picture)
            names, best = list(classes), int(np.argmax(list(classes.values())))
            evidence = evidence_of(picture, best)
        except UserError as error:
            # The name that the user knows, not that of gradio's copy.
            tell(str(error).replace(str(path), Path(path).name))
            return None, None, None, "", gradio.Dropdown(visible=False), ""
        finally:
            Path(path).unlink(missing_ok=True)  # gradio would keep its copy for good
        asked = gradio.Dropdown(choices=names, value=names[best], visible=bool(evidence))
        return None, picture, classes, figures(shown), asked, evidence

    def answer_class(picture, number):
        """The evidence for another class in the picture that is shown."""
        try:
            return evidence_of(picture, number)
        except UserError as error:
            tell(str(error))
            return ""

    def evidence_of(picture, number):
        words, shown = why(model, class_names, picture, number)
        return f"<p>{html.escape(words)}</p>{figures(shown)}" if shown else ""

    def tell(message):
        gradio.Warning(html.escape(message), duration=None)

    with gradio.Blocks(title="Where does it look?", analytics_enabled=False) as page:
        gradio.Markdown(HELP)
        kept = gradio.State()  # the picture that is shown, for questions about other classes
        with gradio.Row():
            # Not gradio.Image, which decodes pictures in its own way and fails on some with a traceback.
            dropped = gradio.File(label="picture", file_types=["image"], height=HEIGHT, min_width=NARROWEST)
            classes = gradio.Label(label="classes", num_top_classes=TOP, min_width=NARROWEST)
        maps = gradio.HTML(elem_id="maps")
        asked = gradio.Dropdown(label="evidence for", type="index", visible=False, interactive=True)
        evidence = gradio.HTML(elem_id="evidence")
        everything = [dropped, kept, classes, maps, asked, evidence]
        dropped.upload(answer, dropped, everything, show_progress_on=maps)
        asked.input(answer_class, [kept, asked], evidence)
    return page


def main() -> int:
    """The command line."""
    config = parse(AppConfig, description=__doc__)
    if not 1 <= config.port <= 65535:
        raise UserError(f"--port must be from 1 to 65535; got {config.port}")
    model, class_names = open_model(config)
    with needs("the page", extra="demo-app"):
        import gradio

    page = build_page(model, class_names)
    theme = gradio.themes.Default(font=FONTS, font_mono=["monospace"])
    where = {"server_name": config.host, "server_port": config.port, "share": False, "ssr_mode": False}
    try:
        page.launch(**where, theme=theme, css=STYLE, footer_links=[], quiet=True, prevent_thread_lock=True)
    except OSError:
        raise UserError(f"cannot listen on {config.host}:{config.port}; choose another --port") from None
    print(f"the page is at {page.local_url} (Ctrl-C ends it)", flush=True)
    page.block_thread()
    return 0


if __name__ == "__main__":
    sys.exit(exit_code(main))
