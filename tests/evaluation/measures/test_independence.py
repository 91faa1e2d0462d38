"""Measures are NumPy: they import no framework."""

import subprocess
import sys


def test_measures_need_no_framework():
    program = (
        "import sys, pkgutil, importlib\n"
        "from attention_keras.evaluation import measures\n"
        "names = [module.name for module in pkgutil.iter_modules(measures.__path__)]\n"
        "for name in names: importlib.import_module(f'{measures.__name__}.{name}')\n"
        "assert len(names) == 9, names\n"
        "assert not {'keras', 'tensorflow'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
