"""Memory does not grow with the number of trainings, which draw panels."""

from pathlib import Path

import pytest

# Resident memory after each training, in a process of its own: that of one that has done other work moves by
# what that left.
PROGRAM = """
import gc, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import keras
from small_runs import RunConfig, build_network, network, train
network.build_model = build_network

sizes = []
for index in range(30):
    config = RunConfig(limit=64, batch_size=32, precision="float32", name=f"run{index}", epochs=1)
    train(config, report=lambda line: None)
    keras.utils.clear_session()
    gc.collect()
    sizes.append(int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
print(*sizes)
"""


@pytest.mark.slow
def test_each_training_grows_it_by_less_than_a_megabyte(tmp_path, fresh_process):
    said = fresh_process(PROGRAM, str(Path(__file__).parent), cwd=tmp_path)
    sizes = [int(size) for size in said.splitlines()[-1].split()]
    # What is allocated once (fonts, compiled functions, heap that is used again) comes in the first ones.
    assert len(sizes) == 30 and (sizes[-1] - sizes[4]) / 25 < 1 << 20
