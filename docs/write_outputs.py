"""Writes what the commands of docs/photographs.md print into the page: `make docs-outputs`.

    python docs/write_outputs.py runs/demo

The page's first Python makes images and a backbone from the run of `make demo`. Then each command that is
followed by what it prints is run, in a new folder. A line of the page takes the numbers of the printed line
with the same words; a line that nothing has printed ends the script.
"""

import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

PAGE = Path(__file__).parent / "photographs.md"
PICTURE = PAGE.parent / "images" / "photographs.png"
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)
SHOWN = re.compile(r"(?<=\n\n)(    attention-keras .*\n)\n((?: {4}.*\n)+)")
NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?")


def words(line: str) -> str:
    """A line without its numbers."""
    return NUMBER.sub("#", line.strip())


def run(folder: Path, *command: str) -> list[str]:
    """The lines that a command prints, less the place of its folder and what depends on the processor."""
    done = subprocess.run([sys.executable, *command], cwd=folder, text=True, capture_output=True)
    if done.returncode:
        sys.exit(f"{shlex.join(command)} failed: {done.stderr}")
    lines = (done.stdout + done.stderr).replace(f"{folder.resolve()}/", "").splitlines()
    return [line.partition("; float32 in place")[0].strip() for line in lines]


def printed(page: str, folder: Path) -> dict[str, str]:
    """Each block of outputs of the page, and what its command has printed, line for line."""
    run(folder, "-c", PYTHON.search(page)[1])
    found = {}
    for command, shown in SHOWN.findall(page):
        lines = {
            words(line): line for line in run(folder, "-m", "attention_keras", *shlex.split(command)[1:])
        }
        missing = [line for line in shown.splitlines() if words(line) not in lines]
        if missing:
            sys.exit(f"{command.strip()} prints no line like these:\n" + "\n".join(missing))
        found[shown] = "".join(f"    {lines[words(line)]}\n" for line in shown.splitlines())
    return found


def main(demo: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        shutil.copytree(demo, folder / "runs" / "demo")
        for shown, lines in printed(page, folder).items():
            page = page.replace(shown, lines)
        drawings = sorted((folder / "answers" / "pictures").iterdir())[:3]
        pixels = np.concatenate([np.asarray(Image.open(file).convert("RGB")) for file in drawings])
        Image.fromarray(pixels).save(PICTURE)
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
