"""The rooms of the package: imports run down the floors only, in no circle, and every file is short."""

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "attention_keras"
# A room imports from its own floor and from those before it in this list.
FLOORS = [
    {"errors"},
    {"extras", "progress"},
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
SOURCES = {
    path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted(PACKAGE.rglob("*.py"))
}


def room(module: str) -> str:
    """`models` for `attention_keras.models.zoo`."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def module_of(file: str) -> str:
    return ".".join(["attention_keras", *Path(file).with_suffix("").parts]).removesuffix(".__init__")


def imports(file: str) -> set[tuple[str, int]]:
    """Modules of this package that a file imports anywhere in it, with the lines."""
    package = ["attention_keras", *Path(file).parent.parts]
    found = set()
    for node in ast.walk(ast.parse(SOURCES[file])):
        if isinstance(node, ast.Import):
            found |= {(alias.name, node.lineno) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = ".".join(package[: len(package) + 1 - node.level]) if node.level else ""
            base = ".".join(part for part in (start, node.module) if part)
            # `from attention_keras import runs` imports a room, `from attention_keras import attend` a name.
            names = [f"{base}.{alias.name}" for alias in node.names] if base == "attention_keras" else [base]
            found |= {(name, node.lineno) for name in names}
    return {(name, line) for name, line in found if name.split(".")[0] == "attention_keras"}


IMPORTS = {file: {found for found in imports(file) if (file, found[0]) not in DOORS} for file in SOURCES}
HOME = {file: room(module_of(file)) for file in SOURCES}


def test_every_room_has_a_floor():
    assert set(HOME.values()) - OUTSIDE == set(FLOOR)


def test_no_import_runs_up_the_floors():
    up = [
        f"{file}:{line} imports {module}"
        for file in SOURCES
        for module, line in sorted(IMPORTS[file])
        if HOME[file] not in OUTSIDE and FLOOR.get(room(module), TOP) > FLOOR[HOME[file]]
    ]
    assert not up, "\n".join(up)


def in_a_circle(below: dict[str, set[str]]) -> str:
    try:
        TopologicalSorter(below).prepare()
    except CycleError as error:
        return " -> ".join(error.args[1])
    return ""


def test_no_rooms_import_each_other_in_a_circle():
    below: dict[str, set[str]] = {name: set() for name in FLOOR}
    for file in SOURCES:
        if HOME[file] in below:
            below[HOME[file]] |= {room(module) for module, _ in IMPORTS[file]} & below.keys() - {HOME[file]}
    assert not in_a_circle(below)


def test_no_folders_of_a_room_import_each_other_in_a_circle():
    below: dict[str, set[str]] = {}
    for file in (file for file in SOURCES if file.count("/") > 1):
        home, folder, *_ = file.split("/")
        start = f"attention_keras.{home}."
        used = {module.split(".")[2] for module, _ in IMPORTS[file] if module.startswith(start)}
        below.setdefault(f"{home}/{folder}", set()).update(f"{home}/{name}" for name in used - {folder})
    assert not in_a_circle({part: used & below.keys() for part, used in below.items()})


def test_no_file_is_long():
    lengths = {file: text.count("\n") for file, text in SOURCES.items()}
    assert {file: length for file, length in lengths.items() if length > LONGEST} == {}


def messages(file: str) -> set[tuple[str, int]]:
    """Every text in a file that is no docstring, with its line."""
    nodes = list(ast.walk(ast.parse(SOURCES[file])))
    alone = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    texts = (node for node in nodes if isinstance(node, ast.Constant) and id(node) not in alone)
    return {(node.value, node.lineno) for node in texts if isinstance(node.value, str)}


def test_only_commands_speak_of_flags():
    """The rest names arguments, which commands turn into flags."""
    spoken = [
        f"{file}:{line} says {flag[0]}"
        for file in SOURCES
        for text, line in messages(file)
        if HOME[file] != "commands" and (flag := FLAG.search(text))
    ]
    assert not spoken, "\n".join(spoken)
