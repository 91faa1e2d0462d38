"""How much of the bare network's speed `predict` keeps, and how many drawings a second it makes.

    python -m benchmarks.predict_files

Images of the network's size are written as JPEG files. The bare network gets them decoded, in the same
batches; the files go the way of `attention-keras predict`, with and without drawings. All take turns, and
medians are compared.
"""

import itertools
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
from benchmarks.common import medians, options_of

CLASSES = [f"class {number}" for number in range(10)]


def network(name: str, side: int) -> keras.Model:
    application = getattr(keras.applications, name)
    backbone = application(include_top=False, weights=None, input_shape=(side, side, 3))
    backbone.trainable = False
    return attend(backbone, num_classes=len(CLASSES), preprocess=name)


def write_files(folder: Path, count: int, side: int) -> list[Path]:
    """Smooth noise, which a JPEG holds as it does a photograph."""
    rng, files = np.random.default_rng(0), [folder / f"{number:04d}.jpg" for number in range(count)]
    for file in files:
        coarse = Image.fromarray(rng.integers(0, 256, (side // 8, side // 8, 3), dtype="uint8"))
        coarse.resize((side, side), Image.Resampling.BICUBIC).save(file, quality=90)
    return files


def main() -> int:
    parser = options_of("predict_files", __doc__)
    parser.add_argument("--network", default="MobileNetV2", help="of keras.applications")
    parser.add_argument("--side", type=int, default=224, help="of its images, in pixels")
    parser.add_argument("--images", type=int, default=256, help="that are predicted")
    parser.add_argument("--batch-size", type=int, default=32, help="images in a batch")
    parser.add_argument("--rounds", type=int, default=3, help="measurements; the median counts")
    options = parser.parse_args()
    predictor, batch = KerasPredictor(network(options.network, options.side)), options.batch_size
    with tempfile.TemporaryDirectory() as folder:
        files, numbers = write_files(Path(folder), options.images, options.side), itertools.count()
        pixels = np.stack([np.asarray(Image.open(file)) for file in files])

        def bare():
            for start in range(0, len(files), batch):
                predictor.model.predict_on_batch(pixels[start : start + batch].astype("float32"))

        def predict(pictures: bool):
            with open_record(Path(folder) / str(next(numbers)) / "predictions.jsonl", {}) as record:
                answers = predict_files(predictor, files, batch_size=batch, explain=pictures)
                write_predictions(answers, len(files), record, CLASSES, pictures=pictures)

        calls = {"bare": bare, "rows": lambda: predict(False), "drawings": lambda: predict(True)}
        speed = {name: len(files) / took for name, took in medians(calls, options.rounds).items()}
        found = predictor.explain(pixels[:batch])
        began = time.process_time()
        for row in range(len(found)):
            png(found.draw(row))
        drawing = len(found) / (time.process_time() - began)
    print(f"{options.network}, {len(files)} images of {options.side} pixels, batches of {batch}")
    print(f"bare network on decoded batches: {speed['bare']:.1f} images a second")
    for said, name in (("predict --no-pictures", "rows"), ("predict with drawings", "drawings")):
        print(f"{said}: {speed[name]:.1f}, {speed[name] / speed['bare']:.2f} of the bare network")
    print(f"drawings alone: {drawing:.1f} a second of one core")
    return 0


if __name__ == "__main__":
    sys.exit(exit_code(main))
