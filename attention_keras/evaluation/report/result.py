"""What a task hands back: values, tables, figures, and how to read them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from attention_keras.evaluation.report.table import Table


@dataclass(frozen=True, eq=False)
class Figure:
    """An image for the reader.

    Attributes:
        name: of its file, without the ending.
        pixels: uint8 RGB `(h, w, 3)`.
        caption: written under it.
        small: small figures stand side by side.
        right: of the image of one answer, whether the answer is right.
        title: words that are in the image, for a reader who cannot see it; by default the caption.
    """

    name: str
    pixels: np.ndarray
    caption: str
    small: bool = False
    right: bool | None = None
    title: str = ""


@dataclass(frozen=True, eq=False)
class Gallery:
    """Figures side by side under one heading; their files go into `folder` of the results."""

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
        tables, galleries, figures: for the reader, in this order; the CSV files hold the tables.
        notes: how it was measured, and how to read it.
        warnings: why a number here may mislead.
        summary: lines for the terminal; by default the tables.
        files: further files by name: a table for `.csv`, a dictionary for `.json`.
        folders: folders in it whose numbered images are all of this task.
    """

    task: str
    title: str
    values: dict[str, Any]
    tables: Sequence[Table] = ()
    galleries: Sequence[Gallery] = ()
    figures: Sequence[Figure] = ()
    notes: Sequence[str] = ()
    warnings: Sequence[str] = ()
    summary: Sequence[str] = ()
    files: Mapping[str, Table | dict[str, Any]] = field(default_factory=dict)
    folders: Sequence[str] = ()
