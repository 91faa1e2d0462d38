"""The classes of many images, with Ray Data: `python predict_ray.py RUN IMAGES ANSWERS`."""

import sys
from pathlib import Path

import ray

from attention_keras.data.files import find_images
from attention_keras.evaluation.predictions.answers import predict_files
from attention_keras.evaluation.subjects.load import load_predictor


class Answers:
    """A classifier that stays in its worker. It reads files as `attention-keras predict` does."""

    def __init__(self, run):
        self.predictor = load_predictor(run)

    def __call__(self, batch):
        answers = list(predict_files(self.predictor, [Path(path) for path in batch["path"]], explain=False))
        likeliest = [("", 0.0) if a.reason else self._likeliest(a.probabilities) for a in answers]
        classes, probabilities = map(list, zip(*likeliest))  # Ray takes no tuples
        reasons = [answer.reason or "" for answer in answers]
        return {"path": batch["path"], "class": classes, "probability": probabilities, "reason": reasons}

    def _likeliest(self, probabilities):
        return self.predictor.class_names[probabilities.argmax()], float(probabilities.max())


if __name__ == "__main__":
    run, images, output = (str(Path(word).resolve()) for word in sys.argv[1:])
    files = ray.data.from_items([{"path": str(file)} for file in find_images([images])[0]])
    files.map_batches(Answers, fn_constructor_args=[run], batch_size=32, concurrency=(1, 4)).write_parquet(
        output
    )
