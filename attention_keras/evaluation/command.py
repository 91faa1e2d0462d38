"""What `python evaluate.py MODEL` does: test error, localisation, pictures."""

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from attention_keras.confusion import confusion_figure
from attention_keras.data.datasets import ImageDataset, load_dataset
from attention_keras.data.split import Split
from attention_keras.errors import UserError
from attention_keras.evaluation.classification import classify
from attention_keras.evaluation.config import EvaluateConfig
from attention_keras.evaluation.localization import localize
from attention_keras.evaluation.predictor import Predictor, load_predictor
from attention_keras.training.config import TrainConfig
from attention_keras.visualize import attention_maps, panel, prediction_title


def run(config: EvaluateConfig) -> int:
    """Evaluate and write the results; the return value is the process's exit code."""
    path = Path(config.model)
    trained = TrainConfig.load(path) if (path / "config.json").exists() else None
    output = _output(config, path)
    predictor = load_predictor(path)
    dataset = _dataset(config, trained, predictor)
    test = dataset.test()
    _check_fit(predictor, dataset, test)
    if config.limit:
        test = test.take(slice(config.limit))
    outputs = predictor.predict(test.images, config.batch_size)
    maps = attention_maps(outputs)
    result = classify(outputs["probabilities"], test.labels, dataset.class_names)
    metrics = {
        "dataset": dataset.name,
        "test_images": result.images,
        "test_error": result.error,
        "test_accuracy": result.accuracy,
        "localization": localize(maps, np.asarray(test.masks[:])) if maps and test.masks is not None else {},
    }
    with _whole_folder(output) as folder:
        _write_json(folder / "metrics.json", metrics)
        _write_json(folder / "classification.json", result.to_dict())
        picture = confusion_figure(np.array(result.confusion), dataset.class_names)
        Image.fromarray(picture).save(folder / "confusion.png")
        if maps:
            _write_panels(folder / "panels", config.panels, test, outputs, maps, dataset.class_names)
    _print_summary(metrics, result.per_class_accuracy, output)
    return 0


def _output(config: EvaluateConfig, path: Path) -> Path:
    if config.output:
        output = Path(config.output)
    else:
        output = (
            path / "evaluation"
            if (path / "config.json").exists()
            else Path(f"{path.with_suffix('')}-evaluation")
        )
    if output.exists() and not output.is_dir():
        raise UserError(f"{output} is a file; choose another --output")
    return output


def _dataset(config: EvaluateConfig, trained: TrainConfig | None, predictor: Predictor) -> ImageDataset:
    card = predictor.card or {}
    if trained is None and "config" in card:
        trained = TrainConfig.from_dict(card["config"])
    name = config.dataset or (trained.dataset if trained else None)
    if name is None:
        raise UserError(f"{config.model} does not say what it was trained on; give --dataset")
    if trained and trained.dataset == name:
        options = trained.dataset_options()
    else:
        options = {"image_size": predictor.image_shape[0]} if name.startswith(("folder:", "tfds:")) else {}
    return load_dataset(name, **{**options, **({"data_dir": config.data_dir} if config.data_dir else {})})


def _check_fit(predictor: Predictor, dataset: ImageDataset, test: Split) -> None:
    if len(dataset.class_names) != predictor.num_classes:
        raise UserError(
            f"the model tells {predictor.num_classes} classes apart and {dataset.name} has "
            f"{len(dataset.class_names)}; choose the dataset it was trained on with --dataset"
        )
    if tuple(test.images.shape[1:]) != tuple(predictor.image_shape):
        raise UserError(
            f"the model takes images of {predictor.image_shape}, {dataset.name} has {test.images.shape[1:]}"
        )


def _write_panels(folder: Path, count: int, test: Split, outputs, maps, class_names) -> None:
    folder.mkdir()
    for index in range(min(count, len(test))):
        title, correct = prediction_title(
            outputs["probabilities"][index], class_names, int(test.labels[index])
        )
        picture = panel(
            np.asarray(test.images[index]), {tap: m[index] for tap, m in maps.items()}, title, correct=correct
        )
        Image.fromarray(picture).save(folder / f"{index:02d}.png")


def _write_json(path: Path, value) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


class _whole_folder:
    """A temporary folder that takes the place of `path` when the block ends well, and else disappears."""

    def __init__(self, path: Path):
        self.path = path

    def __enter__(self) -> Path:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.folder = Path(tempfile.mkdtemp(prefix=f".{self.path.name}-", dir=self.path.parent))
        except OSError as error:
            raise UserError(
                f"cannot write to {self.path}: {error.strerror}; choose another --output"
            ) from None
        return self.folder

    def __exit__(self, kind, error, trace) -> None:
        if kind is None:
            self.folder.chmod(0o755)
            if self.path.exists():
                shutil.rmtree(self.path)
            self.folder.rename(self.path)
        shutil.rmtree(self.folder, ignore_errors=True)


def _print_summary(metrics: dict, per_class: dict[str, float | None], output: Path) -> None:
    print(
        f"test error {metrics['test_error']:.2%} over {metrics['test_images']:,} images "
        f"of {metrics['dataset']}"
    )
    known = {name: accuracy for name, accuracy in per_class.items() if accuracy is not None}
    worst = sorted(known, key=known.get)[:3]
    print("hardest classes: " + ", ".join(f"{name} {known[name]:.1%}" for name in worst))
    for tap, scores in metrics["localization"].items():
        print(
            f"attention {tap}: peak on the object in {scores['pointing_game']:.1%} of images "
            f"(best fixed point {scores['best_fixed_point']:.1%}, chance {scores['chance']:.1%}); "
            f"{scores['attention_on_object']:.1%} of the attention "
            f"on {scores['area_of_object']:.1%} of the area"
        )
    print(f"results in {output}")
