"""Runs train.py with every flush to disk slowed down, so that a kill can land inside a save."""

import os
import runpy
import sys
import time
from pathlib import Path

_fsync = os.fsync


def slow_fsync(handle):
    marker = os.environ["SAVING_MARKER"]
    Path(marker).touch()
    time.sleep(0.05)
    _fsync(handle)
    Path(marker).unlink(missing_ok=True)


os.fsync = slow_fsync
sys.path.insert(0, str(Path(__file__).parents[2]))
sys.argv = ["train.py", *sys.argv[1:]]
runpy.run_path(str(Path(__file__).parents[2] / "train.py"), run_name="__main__")
