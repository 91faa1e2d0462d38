"""Times a training step from elsewhere in a process, and if need be an environment, of its own.

    python rival.py FILE BATCH.npz

Needs NumPy only. For each line with a number of steps on the standard input it writes the seconds of a step.
A process of its own, because wheels of two frameworks in one process have been seen to crash.
"""

import runpy
import sys
import time

import numpy as np


def main() -> None:
    path, batch = sys.argv[1:]
    # What the file prints must not come between the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    arrays = np.load(batch)
    step = runpy.run_path(path)["training_step"](arrays["images"], arrays["labels"])
    step()
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        steps = int(line)
        began = time.perf_counter()
        for _ in range(steps):
            step()
        print((time.perf_counter() - began) / steps, file=answers, flush=True)


if __name__ == "__main__":
    main()
