"""The rooms of the package: imports run down the floors only, and every file is short."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "attention_keras"
# A room imports from its own floor and from those before it in this list.
FLOORS = [
    {"errors"},
    {"extras"},
    {"layers"},
    {"models", "data", "measures"},
    {"runs"},
    {"training", "drawing"},
    {"evaluation", "serving"},
    {"commands", "reproduce"},
]
# These stand outside: the package's own names and what makes Keras know them, and the way in.
OUTSIDE = {"__init__", "__main__", "heads", "registration"}
LONGEST = 300
FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


def room(module: str) -> str:
    """`models` for `attention_keras.models.zoo`."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def imports(file: str) -> set[tuple[str, int]]:
    """Modules of this package that a file imports anywhere in it, with the lines."""
    module = ["attention_keras", *Path(file).with_suffix("").parts]
    found = set()
    for node in ast.walk(ast.parse((PACKAGE / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {(alias.name, node.lineno) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = ".".join(module[: -node.level]) if node.level else ""
            base = ".".join(part for part in (start, node.module) if part)
            # `from attention_keras import runs` imports a room, `from attention_keras import attend` a name.
            names = [f"{base}.{alias.name}" for alias in node.names] if base == "attention_keras" else [base]
            found |= {(name, node.lineno) for name in names}
    return {(name, line) for name, line in found if name.split(".")[0] == "attention_keras"}


HOME = {file: room(f"attention_keras.{file.removesuffix('.py').replace('/', '.')}") for file in FILES}
TOP = len(FLOORS) - 1  # the package's own names, which may lead anywhere, are for its commands
FLOOR = {name: index for index, rooms in enumerate(FLOORS) for name in rooms}


def test_every_room_has_a_floor():
    assert set(HOME.values()) - OUTSIDE == set(FLOOR)


@pytest.mark.parametrize("file", [file for file in FILES if HOME[file] not in OUTSIDE])
def test_no_import_runs_up_the_floors(file):
    up = [
        f"{file}:{line} imports {module}"
        for module, line in sorted(imports(file), key=lambda found: found[1])
        if FLOOR.get(room(module), TOP) > FLOOR[HOME[file]]
    ]
    assert not up, "\n".join(up)


def test_no_rooms_import_each_other_in_a_circle():
    below = {name: set() for name in FLOOR}
    for file in FILES:
        if HOME[file] in below:
            below[HOME[file]] |= {room(module) for module, _ in imports(file)} & below.keys() - {HOME[file]}
    try:
        TopologicalSorter(below).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("file", FILES)
def test_no_file_is_long(file):
    assert len((PACKAGE / file).read_text(encoding="utf-8").splitlines()) <= LONGEST
