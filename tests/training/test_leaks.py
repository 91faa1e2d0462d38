"""Memory does not grow with the number of trainings, nor with epochs that draw panels."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
# Resident memory after each training, or after each epoch of one that draws panels, in a process of its own:
# that of one that has done other work moves by what that left.
PROGRAM = """
import gc, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import keras
from small_runs import RunConfig, Session, build_network, network, train
network.build_model = build_network

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

what, number, sizes, records = sys.argv[2], int(sys.argv[3]), [], Session._records
measure = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: sizes.append(resident()))
if what == "epochs":
    Session._records = lambda *arguments: [*records(*arguments), measure]
for index in range(number if what == "trainings" else 1):
    epochs = number if what == "epochs" else 1
    config = RunConfig(limit=64, batch_size=32, precision="float32", name=f"run{index}", epochs=epochs)
    train(config, report=lambda line: None)
    keras.utils.clear_session()
    gc.collect()
    sizes += [resident()] * (what == "trainings")
print(*sizes)
"""


@pytest.mark.parametrize(("what", "number"), [("trainings", 35), ("epochs", 25)])
def test_each_grows_it_by_less_than_a_megabyte(what, number, tmp_path, fresh_process):
    said = fresh_process(PROGRAM, str(Path(__file__).parent), what, str(number), cwd=tmp_path)
    sizes = [int(size) for size in said.splitlines()[-1].split()]
    # What is allocated once (fonts, compiled functions, heap that is used again) comes in the first ones.
    assert len(sizes) == number and (sizes[-1] - sizes[4]) / (number - 5) < 1 << 20
