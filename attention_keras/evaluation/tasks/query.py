"""Questioning images with other images' global features (paper, section 5.5)."""

from pathlib import Path

import keras
import numpy as np

from attention_keras.data.image_files import EXTENSIONS, UnreadableImage
from attention_keras.data.images import PictureFormat, read_image
from attention_keras.drawing.images import question_grid
from attention_keras.errors import NotApplicable, UserError
from attention_keras.evaluation.options import FEW_IMAGES, QueryOptions
from attention_keras.evaluation.result import Figure, TaskResult
from attention_keras.evaluation.subjects.dataset import Context, one_of_each_class, picture_format
from attention_keras.evaluation.table import DECIMAL, TEXT, Table
from attention_keras.layers.attention_pool import AttentionPool
from attention_keras.layers.compatibility import CompatibilityScore
from attention_keras.measures.faithfulness import movement
from attention_keras.models.blocks import POOL
from attention_keras.models.outputs import attention_maps
from attention_keras.models.parts import global_model, query_model

QUERIES, ROWS, MOST_FILES = 4, 6, 32
_COLUMNS = {"run": TEXT, "tap": TEXT, "correlation": DECIMAL, "total variation": DECIMAL}
_COLUMNS |= {"between targets": DECIMAL, "g has an effect": TEXT}


def measure(context: Context[QueryOptions]) -> TaskResult:
    """Attention of every target under its own g and under each query's."""
    queries, query_names, targets, about = _images(context)
    values, rows, figures, notes, excuses = {}, [], [], [], []
    for subject in context.subjects:
        try:
            own, asked = questioned_maps(subject.model, targets, queries)
        except UserError as reason:
            excuses.append(f"left out: {reason}")
            continue
        ignoring = taps_that_ignore_g(subject.model)
        moved = {tap: movement(own[tap], asked[tap]) for tap in own}
        values[subject.name] = {"taps_that_ignore_g": ignoring, **moved}
        for tap, scores in moved.items():
            rows.append([subject.name, tap, *scores.values(), "no" if tap in ignoring else "yes"])
        if set(own) <= set(ignoring):
            notes.append(
                f"{subject.name}: g has no effect on its attention, as of all pc scores under a softmax: "
                "<u, l + g> = <u, l> + <u, g>, and the second term cancels. Train with dp scores."
            )
            continue
        tap = max(set(own) - set(ignoring), key=lambda tap: moved[tap]["total_variation"])
        image = question_grid(targets[:ROWS], queries, query_names, own[tap][:ROWS], asked[tap][:, :ROWS])
        caption = f"{subject.name}, {tap}: each target under its own g, then under each query's (top row)"
        figures.append(Figure(f"maps{context.mark(subject)}", image, caption))
    if not values:
        raise NotApplicable(f"no run can be questioned: {excuses[0].removeprefix('left out: ')}")
    notes = [
        f"{len(queries)} queries and {len(targets)} targets from {about}. Correlation and total variation, "
        "the share of the attention that moved, are to the target's own map; between targets: between own "
        "maps, for scale. In the authors' published maps the correlation is 0.997 or more.",
        *notes,
        *excuses,
    ]
    table = Table("How far questions move attention (means over pairs)", _COLUMNS, rows)
    return TaskResult("Query-driven attention", values, tables=[table], figures=figures, notes=notes)


def taps_that_ignore_g(model: keras.Model) -> list[str]:
    """Taps whose attention g cannot change: pc under a softmax, where <u, g> cancels, and uniform `mean`."""
    pools = {layer.name: layer for layer in model.layers if isinstance(layer, AttentionPool)}
    ignoring = []
    for layer in model.layers:
        if isinstance(layer, CompatibilityScore):
            tap = layer.name.removeprefix("scores_")
            softmaxed = getattr(pools.get(f"{POOL}{tap}"), "normalization", None) == "softmax"
            if layer.compat == "mean" or (layer.compat == "pc" and softmaxed):
                ignoring.append(tap)
    return ignoring


def questioned_maps(
    model: keras.Model, targets: np.ndarray, queries: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """By tap, maps `(t, h, w)` of targets under their own g, and `(q, t, h, w)` under each query's."""
    encode, question = global_model(model), query_model(model)
    targets, queries = (np.asarray(images, "float32") for images in (targets, queries))

    def maps_under(g: np.ndarray) -> dict[str, np.ndarray]:
        return attention_maps(question.predict_on_batch([targets, g]))

    own = maps_under(encode.predict_on_batch(targets))
    asked = [maps_under(np.repeat(g[None], len(targets), axis=0)) for g in encode.predict_on_batch(queries)]
    return own, {tap: np.stack([maps[tap] for maps in asked]) for tap in own}


def _images(context: Context) -> tuple[np.ndarray, list[str], np.ndarray, str]:
    """Queries with their names, targets, and where they come from."""
    options, split, names = context.options, context.test, context.class_names
    if not any(s.shows_layers and attention_maps(s.predictor.model.output) for s in context.subjects):
        raise NotApplicable("no run has attention to question")
    asking = one_of_each_class(np.asarray(split.labels), QUERIES)
    queries, query_names = np.asarray(split.images[asking]), [names[i] for i in split.labels[asking]]
    rest = np.setdiff1d(np.arange(min(len(split), 200)), asking)
    targets = np.asarray(split.images[rest[: options.limit or FEW_IMAGES]])
    about = context.dataset.name
    if options.queries:
        queries, query_names = _read(options.queries, picture_format(context.subjects))
        about = options.queries
    if options.scenes:
        targets, _ = _read(options.scenes, picture_format(context.subjects))
        about = f"{about} and {options.scenes}"
    if not len(targets):
        raise NotApplicable("there are too few test images for queries and targets")
    return queries, query_names, targets, about


def _read(folder: str, to: PictureFormat) -> tuple[np.ndarray, list[str]]:
    """The first images in a folder, with their names."""
    path = Path(folder.removeprefix("folder:")).expanduser()
    files = sorted(f for f in path.iterdir() if f.suffix.lower() in EXTENSIONS)[:MOST_FILES]
    if not files:
        raise UserError(f"{path} is no folder with images; queries and scenes take folders of images")
    try:
        return np.stack([read_image(file, to) for file in files]), [file.stem[:16] for file in files]
    except UnreadableImage as reason:
        raise UserError(f"an image in {path} cannot be read: {reason}") from None
