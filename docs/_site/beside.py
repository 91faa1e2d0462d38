"""What the documents link to beside their folder, brought into the site: CONTRIBUTING.md and the examples.

On GitHub `../examples/serving/request.py` leads to the file. In the site the file lies at
`examples/serving/request.py`, and the link becomes that. A link to anything else outside docs/ fails the
build. The tutorial, a notebook, becomes a page.
"""

import base64
import json
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
BESIDE = ("CONTRIBUTING.md", "examples/")
TUTORIAL = "examples/tutorial.ipynb"


def on_files(files, config):
    """Add the files to those of docs/."""
    for path in (ROOT / "CONTRIBUTING.md", *sorted((ROOT / "examples").rglob("*.*"))):
        if path.is_file() and "__pycache__" not in path.parts:
            name = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, name, abs_src_path=str(path)))
    page, pictures = read_notebook(ROOT / TUTORIAL)
    for name, content in {"tutorial.md": page, **pictures}.items():
        files.append(File.generated(config, f"examples/{name}", content=content))


def read_notebook(path: Path) -> tuple[str, dict[str, bytes]]:
    """A notebook as Markdown, with what its cells printed and drew, and its pictures by file name."""
    parts, pictures = [], {}
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        for output in cell.get("outputs", []):
            if "text" in output:
                parts.append(f"```text\n{''.join(output['text']).rstrip()}\n```")
            elif picture := output["data"].get("image/png"):
                name = f"{path.stem}-{len(pictures) + 1}.png"
                pictures[name] = base64.b64decode("".join(picture))
                parts.append(f"![What the cell draws]({name})")
    return "\n\n".join(parts).replace("](../docs/", "](../"), pictures


def on_page_markdown(markdown, page, **_):
    """Links between docs/ and its neighbours become links within the site."""
    for name in BESIDE:
        markdown = markdown.replace(f"](../{name}", f"]({name}")
    markdown = markdown.replace(f"]({TUTORIAL})", "](examples/tutorial.md)")
    if page.file.src_uri == "CONTRIBUTING.md":
        markdown = markdown.replace("](docs/", "](")
    return markdown.replace("](../../docs/", "](../../")
