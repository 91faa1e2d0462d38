"""`attention-keras table`: a folder of images as a table that people can edit."""

from collections.abc import Sequence
from dataclasses import dataclass

from attention_keras.commands.command_line import parse
from attention_keras.data.registry import GroupBy
from attention_keras.runs.options import option

DESCRIPTION = """Write a CSV of a folder's images, to add groups, boxes or another split to.

Example:
  attention-keras table folder:photos --output photos.csv
  attention-keras train --dataset table:photos.csv"""


@dataclass(frozen=True)
class TableOptions:
    """Which images, and where to."""

    dataset: str = option(place="DATASET")
    """folder:PATH, or table:FILE of another kind."""
    output: str = option()
    """A new file .csv; its paths are relative to its folder."""
    group_by: GroupBy = option("none")
    """parent: a column group with the folders of folder:PATH/CLASS/GROUP/IMAGE."""


def main(words: Sequence[str], prog: str) -> int:
    options = parse(TableOptions, words, description=DESCRIPTION, prog=prog)
    from attention_keras.data.table_file import read_files, write_table

    table = read_files(options.dataset, group_by=options.group_by)
    written = write_table(table, options.output)
    print(f"{len(table):,} images of {len(table.class_names)} classes in {written}")
    return 0
