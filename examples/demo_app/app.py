"""A page to try a model on one's own images: drop one in, see the classes, where the model looks, and what
speaks for a class of your choice.

    pip install ".[demo-app]"
    python examples/demo_app/app.py saved_models/demo
    python examples/demo_app/app.py http://localhost:8501/v1/models/demo

The model is a run, a .keras file or an export, which is loaded here, or the URL of a model server.
"""

import base64
import html
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from attention_keras.commands.command_line import exit_code, import_tensorflow, parse
from attention_keras.drawing.cells import Cell, png
from attention_keras.errors import UserError, needs
from attention_keras.explaining.explanation import Explanation
from attention_keras.runs.options import option

TOP = 5
HEIGHT, NARROWEST = 282, 280  # pixels; the drop zone is as high as five classes
FONTS = ["system-ui", "sans-serif"]  # some releases of gradio fetch their own from the network
HELP = """# Where does it look?
Drop an image in. It comes back as the model sees it, with the attention maps over it, from early to late
levels; bright is where the model looks. Each map has its own scale, whose ends stand under it.

Evidence is what each pixel says for a class: red speaks for it, blue against it."""
STYLE = """
#maps .html-container {padding: 0}
.maps {display: grid; grid-template-columns: repeat(auto-fit, minmax(240px, 1fr)); gap: 16px}
.maps figure {margin: 0; max-width: 512px}
.maps img {width: 100%}
.maps figcaption {padding-top: 4px; overflow-wrap: anywhere}
"""


@dataclass(frozen=True)
class AppConfig:
    """Which model, and where the page is."""

    model: str = option(place="MODEL")
    """A run, a .keras file, an export (saved_models/NAME), or http://HOST:8501/v1/models/NAME."""
    host: str = option("127.0.0.1")
    """Address to listen on; 0.0.0.0 lets other machines in."""
    port: int = option(7860)
    """Port of the page."""


def open_model(where: str):
    """A predictor that can be asked for the evidence of any class."""
    import_tensorflow("the page")
    from attention_keras.evaluation.subjects.load import load_predictor
    from attention_keras.serving.served_model import RemoteModel

    return RemoteModel(where) if "://" in where else load_predictor(where)


def class_names(model) -> list[str]:
    """One name for each class; where two classes share one, their numbers tell them apart."""
    names = model.class_names or [f"class {number}" for number in range(model.num_classes)]
    times = Counter(names)
    return [f"{name} ({number})" if times[name] > 1 else name for number, name in enumerate(names)]


def look(model, path: Path) -> Explanation:
    """What the model says of one image file."""
    from attention_keras.evaluation.predictions.answers import predict_files

    (answer,) = predict_files(model, [path])
    if answer.reason is not None:
        raise UserError(f"cannot read {path.name}: {answer.reason}")
    return answer.explanation


def figures(cells: Sequence[Cell]) -> str:
    """HTML of images side by side, with the ends of their scales."""
    parts = []
    for cell in cells:
        source = f"data:image/png;base64,{base64.b64encode(png(cell.pixels)).decode('ascii')}"
        scale = f": {cell.ends[0]} to {cell.ends[1]} {cell.unit}".rstrip() if cell.ends[1] else ""
        words = html.escape(cell.head + scale)
        parts.append(f'<figure><img src="{source}" alt="{words}"><figcaption>{words}</figcaption></figure>')
    return f'<div class="maps">{"".join(parts)}</div>'


def build_page(model):
    """The page as a `gradio.Blocks`; gradio's reports of use are off."""
    import gradio

    names = class_names(model)

    def show(path):
        """What stands in the drop zone (nothing: it is free for the next image), and all that is shown."""
        try:
            found = look(model, Path(path))
        except UserError as error:
            gradio.Warning(html.escape(str(error)), duration=None)
            return None, None, None, "", gradio.Dropdown(visible=False)
        finally:
            Path(path).unlink(missing_ok=True)  # gradio would keep its copy for good
        classes = dict(zip(names, found.probabilities[0].tolist()))
        best = names[found.predicted[0]]
        asked = gradio.Dropdown(choices=names, value=best, visible=bool(found.evidence))
        return None, found, classes, figures(found.cells(0)), asked

    def show_class(found, number):
        """The image that is shown, with the evidence for another class."""
        return figures(model.explain(found.images, [number]).cells(0))

    with gradio.Blocks(title="Where does it look?", analytics_enabled=False) as page:
        gradio.Markdown(HELP)
        kept = gradio.State()  # what is shown, for questions about other classes
        with gradio.Row():
            # Not gradio.Image, which decodes images in its own way and fails on some with a traceback.
            dropped = gradio.File(label="image", file_types=["image"], height=HEIGHT, min_width=NARROWEST)
            classes = gradio.Label(label="classes", num_top_classes=TOP, min_width=NARROWEST)
        asked = gradio.Dropdown(label="evidence for", type="index", visible=False, interactive=True)
        maps = gradio.HTML(elem_id="maps")
        dropped.upload(show, dropped, [dropped, kept, classes, maps, asked], show_progress_on=maps)
        asked.input(show_class, [kept, asked], maps)
    return page


def main() -> int:
    """The command line."""
    config = parse(AppConfig, sys.argv[1:], description=__doc__, prog="python app.py")
    if not 1 <= config.port <= 65535:
        raise UserError(f"--port must be from 1 to 65535; got {config.port}")
    model = open_model(config.model)
    with needs("the page", extra="demo-app"):
        import gradio

    page = build_page(model)
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
