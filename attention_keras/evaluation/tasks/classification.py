"""Top-1 error, confusion, and whether attention points at the object where masks are known."""

import numpy as np

from attention_keras.data.split import Split
from attention_keras.drawing.confusion import confusion_figure
from attention_keras.drawing.panel import panel, prediction_title
from attention_keras.evaluation.measures.classification import Classification, classify
from attention_keras.evaluation.measures.localization import localize
from attention_keras.evaluation.report.result import Figure, Table, TaskResult, file_name, json_text, png
from attention_keras.evaluation.subjects.subject import Subject
from attention_keras.evaluation.tasks.context import Context
from attention_keras.models.outputs import attention_maps

PANELS = "panels"


def run(context: Context) -> TaskResult:
    """Classify every test image with every run."""
    test = context.images()
    values, figures, files, summary = {}, [], {}, []
    rows, pointing = [], []
    for subject in context.subjects:
        outputs = subject.predictor.predict(test.images, context.config.batch_size)
        maps = attention_maps(outputs)
        result = classify(outputs["probabilities"], test.labels, context.class_names)
        scores = localize(maps, np.asarray(test.masks[:])) if maps and test.masks is not None else {}
        metrics = {
            "dataset": context.dataset.name,
            "test_images": result.images,
            "test_error": result.error,
            "test_accuracy": result.accuracy,
            "localization": scores,
        }
        values[subject.name] = {**result.to_dict(), "localization": scores}
        rows.append([subject.name, subject.kind, f"{result.error:.2%}", result.images, *_size(subject)])
        pointing += [[subject.name, tap, *map(_percent, s.values())] for tap, s in scores.items()]
        name = f"confusion{context.mark(subject)}"
        picture = confusion_figure(np.array(result.confusion), context.class_names)
        figures.append(Figure(name, picture, f"{subject.name}: confusion matrix", small=True))
        folder = PANELS if len(context.subjects) == 1 else f"{PANELS}/{file_name(subject.name)}"
        files |= _panels(folder, context, test, outputs, maps) if maps else {}
        if len(context.subjects) == 1:
            files["metrics.json"] = json_text(metrics).encode()
        summary += _summary(subject, metrics, result)
    tables = [Table("Test error", ["run", "network", "error", "images", "parameters"], rows)]
    if pointing:
        heads = ["run", "tap", "peak on object", "best fixed point", "chance", "attention on object", "area"]
        tables.append(Table("Does attention point at the object?", heads, pointing))
    notes = [
        f"Every one of the {len(test):,} test images of {context.dataset.name} counts once; "
        "one run is one seed, so that differences of a few tenths of a percent mean little."
    ]
    if pointing:
        notes.append(
            "Peak on object: share of images whose largest attention lies on a cell that the object "
            "touches; it is worth something above the best fixed point (always the same cell) and chance. "
            "Attention on object is worth something above the object's share of the area."
        )
    return TaskResult(
        "classification",
        "Classification",
        values,
        tables,
        figures,
        notes,
        summary=summary,
        files=files,
        folders=[PANELS],
    )


def _size(subject: Subject) -> list[int | None]:
    model = getattr(subject.predictor, "model", None)
    return [model.count_params() if model else None]


def _percent(share: float) -> str:
    return f"{share:.1%}"


def _panels(folder: str, context: Context, test: Split, outputs: dict, maps: dict) -> dict[str, bytes]:
    pictures = {}
    for index in range(min(context.config.panels, len(test))):
        title, correct = prediction_title(
            outputs["probabilities"][index], context.class_names, int(test.labels[index])
        )
        shown = {tap: m[index] for tap, m in maps.items()}
        pictures[f"{folder}/{index:02d}.png"] = png(
            panel(np.asarray(test.images[index]), shown, title, correct=correct)
        )
    return pictures


def _summary(subject: Subject, metrics: dict, result: Classification) -> list[str]:
    lines = [
        f"{subject.name}: test error {metrics['test_error']:.2%} over {metrics['test_images']:,} images "
        f"of {metrics['dataset']}"
    ]
    known = {name: accuracy for name, accuracy in result.per_class_accuracy.items() if accuracy is not None}
    worst = sorted(known, key=known.get)[:3]
    lines.append("hardest classes: " + ", ".join(f"{name} {known[name]:.1%}" for name in worst))
    for tap, scores in metrics["localization"].items():
        lines.append(
            f"attention {tap}: peak on the object in {scores['pointing_game']:.1%} of images "
            f"(best fixed point {scores['best_fixed_point']:.1%}, chance {scores['chance']:.1%}); "
            f"{scores['attention_on_object']:.1%} of the attention "
            f"on {scores['area_of_object']:.1%} of the area"
        )
    return lines
