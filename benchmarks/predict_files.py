"""How much of the bare network's speed `predict` keeps, and how many drawings a second it makes.

    python -m benchmarks.predict_files

Images of the network's size are written as JPEG files. The bare network gets them decoded, in the same
batches; the files go the way of `attention-keras predict`, with and without drawings. All take turns, and
medians are compared.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
from PIL import Image

from attention_keras import attend
from attention_keras.commands.command_line import exit_code
from attention_keras.drawing.canvas import png
from attention_keras.evaluation.predictions.answers import predict_files
from attention_keras.evaluation.predictions.record import open_record, write_predictions
from attention_keras.evaluation.subjects.predictor import KerasPredictor

CLASSES = [f"class {number}" for number in range(10)]


def network(name: str, side: int) -> keras.Model:
    application = getattr(keras.applications, name)
    backbone = application(include_top=False, weights=None, input_shape=(side, side, 3))
    backbone.trainable = False
    return attend(backbone, num_classes=len(CLASSES), preprocess=name)


def write_files(folder: Path, count: int, side: int) -> list[Path]:
    """Smooth noise, which a JPEG holds as it does a photograph."""
    rng, files = np.random.default_rng(0), []
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (side // 8, side // 8, 3), dtype="uint8"))
        files.append(folder / f"{number:04d}.jpg")
        coarse.resize((side, side), Image.Resampling.BICUBIC).save(files[-1], quality=90)
    return files


def seconds(predictor, files, output: Path, batch: int, pictures: bool) -> float:
    began = time.perf_counter()
    with open_record(output / "predictions.jsonl", {}) as record:
        answers = predict_files(predictor, files, batch_size=batch, explain=pictures)
        write_predictions(answers, len(files), record, CLASSES, pictures=pictures)
    return time.perf_counter() - began


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.predict_files", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--network", default="MobileNetV2", help="of keras.applications")
    parser.add_argument("--side", type=int, default=224, help="of its images, in pixels")
    parser.add_argument("--images", type=int, default=256, help="that are predicted")
    parser.add_argument("--batch-size", type=int, default=32, help="images in a batch")
    parser.add_argument("--rounds", type=int, default=3, help="measurements; the median counts")
    options = parser.parse_args()
    predictor = KerasPredictor(network(options.network, options.side))
    times: dict[str, list[float]] = {"bare": [], "rows": [], "drawings": [], "drawing": []}
    with tempfile.TemporaryDirectory() as folder:
        files = write_files(Path(folder), options.images, options.side)
        pixels = np.stack([np.asarray(Image.open(file)) for file in files])
        starts = range(0, len(files), options.batch_size)
        for turn in range(options.rounds + 1):  # the first one compiles
            began = time.perf_counter()
            for start in starts:
                predictor.model.predict_on_batch(pixels[start : start + options.batch_size].astype("float32"))
            took = {"bare": time.perf_counter() - began}
            for name in ("rows", "drawings"):
                output = Path(folder) / f"{name}-{turn}"
                took[name] = seconds(predictor, files, output, options.batch_size, name == "drawings")
            found = predictor.explain(pixels[: options.batch_size])
            began = time.process_time()
            for row in range(len(found)):
                png(found.draw(row))
            took["drawing"] = (time.process_time() - began) * len(files) / len(found)
            for name, value in took.items() if turn else ():
                times[name].append(value)
    speed = {name: len(files) / statistics.median(values) for name, values in times.items()}
    print(f"{options.network}, {len(files)} images of {options.side} pixels, batches of {options.batch_size}")
    print(f"bare network on decoded batches: {speed['bare']:.1f} images a second")
    print(
        f"predict --no-pictures: {speed['rows']:.1f}, {speed['rows'] / speed['bare']:.2f} of the bare network"
    )
    print(f"predict with drawings: {speed['drawings']:.1f}, {speed['drawings'] / speed['bare']:.2f}")
    print(f"drawings alone: {speed['drawing']:.1f} a second of one core")
    return 0


if __name__ == "__main__":
    sys.exit(exit_code(main))
