"""Measures are NumPy: they import no framework."""


def test_measures_need_no_framework(fresh_process):
    program = (
        "import sys, pkgutil, importlib\n"
        "from attention_keras.evaluation import measures\n"
        "names = [module.name for module in pkgutil.iter_modules(measures.__path__)]\n"
        "for name in names: importlib.import_module(f'{measures.__name__}.{name}')\n"
        "assert len(names) == 9, names\n"
        "assert not {'keras', 'tensorflow'} & set(sys.modules)\n"
    )
    fresh_process(program)
