#!/usr/bin/env python3
"""Measure trained models on test images: error, where they look, and how far to trust that.

Examples:
    python evaluate.py runs/demo
    python evaluate.py runs/demo --task all
    python evaluate.py runs/pc runs/dp runs/gap --task faithfulness --limit 256
    python evaluate.py saved_models/demo

docs/experiments.md describes the tasks. Exit codes: 0 done, 2 a mistake in the command or its files.
"""

import sys

from attention_keras.commands.command_line import exit_code, parse
from attention_keras.commands.quiet_start import import_tensorflow
from attention_keras.evaluation.options import EvaluateConfig


def main() -> int:
    config = parse(EvaluateConfig, description=__doc__)
    import_tensorflow()
    from attention_keras.commands.evaluate import run

    return run(config)


if __name__ == "__main__":
    sys.exit(exit_code(main))
