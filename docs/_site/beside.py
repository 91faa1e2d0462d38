"""What the documents link to beside their folder, brought into the site: CONTRIBUTING.md and the examples.

On GitHub `../examples/serving/request.py` leads to the file. In the site the file lies at
`examples/serving/request.py`, and the link becomes that. A link to anything else outside docs/ fails the
build.
"""

from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
BESIDE = ("CONTRIBUTING.md", "examples/")


def on_files(files, config):
    """Add the files to those of docs/."""
    for path in (ROOT / "CONTRIBUTING.md", *sorted((ROOT / "examples").rglob("*.*"))):
        if path.is_file() and "__pycache__" not in path.parts:
            name = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, name, abs_src_path=str(path)))


def on_page_markdown(markdown, page, **_):
    """Links between docs/ and its neighbours become links within the site."""
    for name in BESIDE:
        markdown = markdown.replace(f"](../{name}", f"]({name}")
    if page.file.src_uri == "CONTRIBUTING.md":
        markdown = markdown.replace("](docs/", "](")
    return markdown.replace("](../../docs/", "](../../")
