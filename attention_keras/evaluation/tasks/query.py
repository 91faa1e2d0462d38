"""Questioning images with other images' global features (paper, section 5.5)."""

from pathlib import Path

import numpy as np

from attention_keras.data.image_files import EXTENSIONS, UnreadableImage, read_image
from attention_keras.data.split import Split
from attention_keras.drawing.grids import question_grid
from attention_keras.errors import NotApplicable, UserError
from attention_keras.evaluation.measures import query as measure
from attention_keras.evaluation.report.result import Figure, Table, TaskResult
from attention_keras.evaluation.tasks.context import Context
from attention_keras.models.outputs import attention_maps

QUERIES, TARGETS, ROWS = 4, 64, 6
_HEADS = ["run", "tap", "correlation", "total variation", "between targets", "g has an effect"]


def run(context: Context) -> TaskResult:
    """Attention of every target under its own g and under each query's."""
    queries, query_names, targets, about = _images(context)
    values, rows, figures, notes, excuses = {}, [], [], [], []
    for subject in context.subjects:
        try:
            own, asked = measure.questioned_maps(subject.model, targets, queries)
        except UserError as reason:
            excuses.append(str(reason))
            continue
        ignoring = measure.taps_that_ignore_g(subject.model)
        values[subject.name] = {"taps_that_ignore_g": ignoring}
        for tap in own:
            scores = measure.movement(own[tap], asked[tap])
            values[subject.name][tap] = scores
            rows.append([subject.name, tap, *scores.values(), "no" if tap in ignoring else "yes"])
        if set(own) <= set(ignoring):
            notes.append(
                f"{subject.name}: g has no effect on its attention. With pc scores <u, l + g> = <u, l> + "
                "<u, g>, the second term is the same at every position, and the softmax over positions "
                "cancels it. Differences above are rounding. To question images, train with --compat dp."
            )
            continue
        tap = max(set(own) - set(ignoring), key=lambda tap: values[subject.name][tap]["total_variation"])
        picture = question_grid(targets[:ROWS], queries, query_names, own[tap][:ROWS], asked[tap][:, :ROWS])
        caption = f"{subject.name}, {tap}: each target under its own g, then under each query's (top row)"
        figures.append(Figure(f"maps{context.mark(subject)}", picture, caption))
    if not values:
        raise NotApplicable(f"no run can be questioned: {excuses[0]}")
    notes = [
        f"{len(queries)} queries and {len(targets)} targets from {about}. The target's local features are "
        "compared with the global features g of another image: in the paper, attention then moves to what "
        "the two share.",
        "Correlation with, and total variation from, the target's own map (total variation: share of the "
        "attention that moved; 0 none, 1 all). Between targets: the same between own maps of different "
        "targets, for scale. In the authors' published maps the correlation is 0.997 or more: questions "
        "sharpen or flatten the map more than they move it.",
        *notes,
        *(f"left out: {excuse}" for excuse in excuses),
    ]
    table = Table("How far questions move attention (means over pairs)", _HEADS, rows)
    return TaskResult("query", "Query-driven attention", values, [table], figures, notes)


def _images(context: Context) -> tuple[np.ndarray, list[str], np.ndarray, str]:
    """Queries with their names, targets, and where they come from."""
    config, size = context.config, context.subjects[0].predictor.image_shape[:2]
    if not any(
        attention_maps(s.predictor.model.output) for s in context.subjects if hasattr(s.predictor, "model")
    ):
        raise NotApplicable("no run has attention to question")
    split, names = context.test, context.class_names
    first = _first_of_each_class(split, len(names))
    queries, query_names = (
        np.asarray(split.images[first[:QUERIES]]),
        [names[split.labels[i]] for i in first[:QUERIES]],
    )
    rest = np.setdiff1d(np.arange(min(len(split), 200)), first[:QUERIES])
    targets = np.asarray(split.images[rest[: config.limit or TARGETS]])
    about = context.dataset.name
    if config.queries:
        files = _files(config.queries)
        queries, query_names = _read(files, size), [file.stem[:16] for file in files]
        about = config.queries
    if config.scenes:
        targets = _read(_files(config.scenes), size)
        about = f"{about} and {config.scenes}"
    if not len(targets):
        raise NotApplicable("there are too few test images for queries and targets")
    return queries, query_names, targets, about


def _first_of_each_class(split: Split, classes: int) -> np.ndarray:
    rows = [np.flatnonzero(split.labels == label)[:1] for label in range(classes)]
    return np.concatenate(rows)


def _files(folder: str) -> list[Path]:
    path = Path(folder.removeprefix("folder:")).expanduser()
    files = sorted(f for f in path.iterdir() if f.suffix.lower() in EXTENSIONS)
    if not files:
        raise UserError(f"{path} is no folder with images; give --queries FOLDER and --scenes FOLDER")
    return files[:32]


def _read(files: list[Path], size: tuple[int, int]) -> np.ndarray:
    try:
        return np.stack([read_image(file, size) for file in files])
    except UnreadableImage as reason:
        raise UserError(f"an image in {files[0].parent} cannot be read: {reason}") from None
