"""The rooms of the package: imports run down the floors only, in no circle, and every file is short."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "attention_keras"
# A room imports from its own floor and from those before it in this list.
FLOORS = [
    {"errors", "progress"},
    {"layers"},
    {"models", "data", "measures"},
    {"runs"},
    {"training", "drawing"},
    {"explaining"},
    {"evaluation", "serving"},
    {"commands"},
]
# These stand outside: the package's own names and what makes Keras know them, and the way in.
OUTSIDE = {"__init__", "__main__", "heads", "registration"}
LONGEST = 300
FLAG = re.compile(r"(?<=[\s(`])(?<!var\()--[a-z][a-z-]*(?![\w:-])")  # of our commands, not of Git or CSS
# A method that is a function of a room above, which it imports when it is called.
DOORS = {("models/classifier.py", "attention_keras.explaining.explain")}
FLOOR = {name: index for index, rooms in enumerate(FLOORS) for name in rooms}
TOP = len(FLOORS) - 1  # the package's own names, which may lead anywhere, are for its commands
SOURCES = {path.relative_to(PACKAGE).as_posix(): path.read_text("utf-8") for path in PACKAGE.rglob("*.py")}
TREES = {file: ast.parse(source) for file, source in SOURCES.items()}
HOME = {file: Path(file).with_suffix("").parts[0] for file in SOURCES}


def imports(file: str) -> dict[str, int]:
    """Modules of this package that a file imports anywhere in it, with the lines. (None imports by dots.)"""
    found = {}
    for node in ast.walk(TREES[file]):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        names = [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            assert not node.level, file
            # `from attention_keras import runs` imports a room, `from attention_keras import attend` a name.
            whole = node.module == "attention_keras"
            names = [f"attention_keras.{name}" for name in names] if whole else [node.module]
        found |= {name: node.lineno for name in names if name.split(".")[0] == "attention_keras"}
    return {name: line for name, line in found.items() if (file, name) not in DOORS}


IMPORTS = {file: imports(file) for file in SOURCES}


def room(module: str) -> str:
    """`models` for `attention_keras.models.zoo`."""
    return f"{module}.__init__".split(".")[1]


def test_every_room_has_a_floor_and_no_import_runs_up():
    assert set(HOME.values()) - OUTSIDE == set(FLOOR)
    up = [
        f"{file}:{line} imports {module}"
        for file, home in HOME.items()
        for module, line in IMPORTS[file].items()
        if home not in OUTSIDE and FLOOR.get(room(module), TOP) > FLOOR[home]
    ]
    assert not up, "\n".join(up)


def test_no_rooms_and_no_folders_in_a_room_import_each_other_in_a_circle():
    """A circle is graphlib's CycleError."""
    below: dict[str, set[str]] = {name: set() for name in FLOOR}
    for file in SOURCES:
        if HOME[file] in FLOOR:
            below[HOME[file]] |= {room(module) for module in IMPORTS[file]} & FLOOR.keys() - {HOME[file]}
        if file.count("/") > 1:
            home, folder, _ = file.split("/")
            inside = {module.split(".")[2] for module in IMPORTS[file] if room(module) == home}
            folders = {name for name in inside - {folder} if (PACKAGE / home / name).is_dir()}
            below.setdefault(f"{home}/{folder}", set()).update(f"{home}/{name}" for name in folders)
    TopologicalSorter(below).prepare()


def test_no_file_is_long():
    lengths = {file: text.count("\n") for file, text in SOURCES.items()}
    assert {file: length for file, length in lengths.items() if length > LONGEST} == {}


def test_only_commands_speak_of_flags():
    """The texts of the rest, but for docstrings, name arguments, which commands turn into flags."""
    spoken = []
    for file, tree in TREES.items():
        nodes = list(ast.walk(tree)) if HOME[file] != "commands" else []
        alone = {node.value for node in nodes if isinstance(node, ast.Expr)}
        for node in nodes:
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in alone:
                spoken += [f"{file}:{node.lineno} says {flag}" for flag in FLAG.findall(node.value)]
    assert not spoken, "\n".join(spoken)
