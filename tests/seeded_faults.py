"""Twenty faults that somebody could make, and the tests that must catch each.

    python tests/seeded_faults.py                # all, an hour on two cores
    python tests/seeded_faults.py average mask   # those whose name has one of these words

Each is made in a copy of the tree, and then its tests run there. The exit code is the number of faults that
no test has caught.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
LEFT_OUT = shutil.ignore_patterns(".git", ".venv*", "runs", "build", "__pycache__", ".*_cache", "*.egg-info")


class Fault(NamedTuple):
    """`old` stands once in the package, in whatever file, and `new` takes its place."""

    name: str
    old: str
    new: str
    tests: str

    def file(self, root: Path = ROOT) -> Path:
        """Where it is made; ValueError unless the text stands in one place."""
        package = sorted((root / "attention_keras").rglob("*.py"))
        times = {path: path.read_text(encoding="utf-8").count(self.old) for path in package}
        if sum(times.values()) != 1:
            raise ValueError(f"{self.name}: {self.old!r} stands in {sum(times.values())} places")
        return max(times, key=times.get)


# By the tests that must catch them: name, old, new.
TABLE = {
    "tests/layers/test_compatibility.py": [
        ("softmax over the wrong axis", "ops.sum(exponentials, axis=(1, 2)", "ops.sum(exponentials, axis=1"),
        ("score that grows with the width", " / math.sqrt(g.shape[-1])", ""),
        ("wrong sign in a score", "ops.tanh(local_features +", "ops.tanh(local_features -"),
    ],
    "tests/models/test_evidence.py": [
        (
            "evidence not centred",
            "ops.sum(votes, axis=1, keepdims=True) /",
            "0 * ops.sum(votes, axis=1, keepdims=True) /",
        ),
        ("evidence of the wrong class", "[:, None] == numbers", "[:, None] == numbers - 1"),
        ("evidence half a pixel off", "side_length / full_length - 0.5", "side_length / full_length"),
    ],
    "tests/outcomes/test_photographs.py": [
        ("evidence of another class served", 'answers["asked"]', 'answers["predicted"]'),
        (
            "wrong temperature served",
            "    probabilities = probabilities_of(model, temperature)",
            "    probabilities = probabilities_of(model, 1.0)",
        ),
    ],
    "tests/outcomes/test_one_device.py": [
        ("statistics of one device", "layer.synchronized = synchronized", "layer.synchronized = False"),
    ],
    "tests/data/test_images.py": [
        ("image stretched", "numpy.maximum(1, numpy.minimum(wide, tall * width // height))", "wide"),
    ],
    "tests/data/test_membership.py": [
        ("one hash for all splits", "key=purpose.encode()[:64]", 'key=b""'),
    ],
    "tests/data/test_pipeline.py": [
        ("seed not used", "seed=tf.stack([seed, epoch])", "seed=tf.stack([0, epoch])"),
        ("resume that skips a step", "tf.constant(first_step,", "tf.constant(first_step + 1,"),
        (
            "swapped order of classes",
            "images, tf.gather(targets, rows)",
            "images, tf.gather(targets, rows)[:, ::-1]",
        ),
    ],
    "tests/data/test_objects.py": [
        ("mask flipped", "read_masks(rows) * tf", "(1 - read_masks(rows)) * tf"),
    ],
    "tests/training/test_losses.py": [
        (
            "attention drawn off the object",
            "1.0 - ops.sum(attention * covered",
            "ops.sum(attention * covered",
        ),
    ],
    "tests/models/test_parts.py": [
        ("layer that is not frozen", "not isinstance(layer, keras.layers.BatchNormalization)", "True"),
    ],
    "tests/training/test_device.py": [
        ("momentum the wrong way round", "batch * (1.0 - layer.momentum)", "batch * layer.momentum"),
    ],
    "tests/training/test_optimizers.py": [
        ("lost average of weights", "self.model.optimizer.finalize_variable_values(variables)", "pass"),
        ("wrong sign of weight decay", "ops.add(gradient, keras", "ops.subtract(gradient, keras"),
    ],
}
FAULTS = [Fault(*fault, tests) for tests, faults in TABLE.items() for fault in faults]


def is_caught(fault: Fault) -> bool:
    """Whether a test fails (and not only its collection) with the fault made."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "tree"
        shutil.copytree(ROOT, root, ignore=LEFT_OUT)
        file = fault.file(root)
        file.write_text(file.read_text(encoding="utf-8").replace(fault.old, fault.new), encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", fault.tests]
        environment = os.environ | {"PYTHONPATH": str(root)}
        done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{fault.name}: {done.stdout[-2000:]}")
    return done.returncode == 1


def main() -> int:
    chosen = [f for f in FAULTS if not sys.argv[1:] or any(word in f.name for word in sys.argv[1:])]
    missed = 0
    for fault in chosen:
        caught = is_caught(fault)
        missed += not caught
        print(f"{'caught' if caught else 'MISSED'}  {fault.name}, by {fault.tests}", flush=True)
    return missed


if __name__ == "__main__":
    sys.exit(main())
