"""What happened in the trainings of a folder, as lines of JSON; a later start reads what is finished."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.full_width.setting import differences

RESULTS = "results.jsonl"


class Record:
    """Lines of JSON in a file and on the terminal, each with the training's network and seed."""

    def __init__(self, folder: Path, model: str, seed: int):
        self.path, self.always = folder / RESULTS, {"model": model, "seed": seed}

    def write(self, event: str, **values: Any) -> dict[str, Any]:
        rounded = {k: round(v, 4) if isinstance(v, float) else v for k, v in values.items()}
        line = {"event": event, **self.always, **rounded}
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(json.dumps(line), file=sys.stderr, flush=True)
        return line

    def end(self, conditions: Mapping[str, Any], with_weights: bool) -> dict[str, Any] | None:
        """The line of the training's end; None unless the last that ended is of these conditions.

        An earlier one does not count: the weights in the folder are no longer its own.

        Args:
            conditions: of `conditions_of`.
            with_weights: whether the files of its weights must be there.
        """
        last = None
        for line in self._lines():
            if line["event"] == "end" and self.always.items() <= line.items():
                last = line
        if last is None or differences(last.get("conditions", {}), conditions):
            return None
        files = [self.path.with_name(name) for name in last["weights"]]
        there = bool(files) and all(file.exists() for file in files)
        return last if there or not with_weights else None

    def _lines(self) -> Iterator[dict[str, Any]]:
        for text in self.path.read_text().splitlines() if self.path.exists() else []:
            try:
                yield json.loads(text)
            except ValueError:  # a kill may leave half a line
                continue
