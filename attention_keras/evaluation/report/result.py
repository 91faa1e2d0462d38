"""What a task hands back: values, tables, pictures, and how to read them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from attention_keras.evaluation.report.table import Table


@dataclass(frozen=True, eq=False)
class Figure:
    """A picture with what it shows.

    Attributes:
        name: of its file, without the ending.
        pixels: uint8 RGB `(h, w, 3)`.
        caption: for the reader.
        small: small figures stand side by side.
        right: for a picture of one answer, whether the answer is right.
    """

    name: str
    pixels: np.ndarray
    caption: str
    small: bool = False
    right: bool | None = None


@dataclass(frozen=True, eq=False)
class Gallery:
    """Pictures side by side with which a section of the report opens.

    Attributes:
        heading: what they have in common.
        folder: in the results folder, for their files.
        figures: one or more.
    """

    heading: str
    folder: str
    figures: Sequence[Figure]


@dataclass(frozen=True, eq=False)
class TaskResult:
    """Results of one task over all runs.

    Attributes:
        task: its name, such as `maps`.
        title: of its section in the report.
        values: every number, plain JSON values.
        galleries: pictures before everything else.
        tables, figures: for the reader; the CSV files hold the tables.
        notes: how it was measured, and how to read it.
        warnings: why a number here may mislead.
        summary: lines for the terminal; by default the tables.
        files: further files, path in the results folder -> content.
        folders: folders in it whose numbered pictures are all of this task.
    """

    task: str
    title: str
    values: dict[str, Any]
    galleries: Sequence[Gallery] = ()
    tables: Sequence[Table] = ()
    figures: Sequence[Figure] = ()
    notes: Sequence[str] = ()
    warnings: Sequence[str] = ()
    summary: Sequence[str] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)
    folders: Sequence[str] = ()
