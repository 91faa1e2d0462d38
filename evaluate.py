#!/usr/bin/env python3
"""Measure trained models on test images: error, where they look, and how far to trust that.

Examples:
    python evaluate.py runs/demo
    python evaluate.py runs/demo --task all
    python evaluate.py runs/pc runs/dp runs/gap --task faithfulness --limit 256
    python evaluate.py saved_models/demo

docs/experiments.md describes the tasks; --task TASK --help shows the options of one. Exit codes: 0 done,
2 a mistake in the command or its files, 130 stopped by Ctrl-C.
"""

import sys

from attention_keras.commands.command_line import exit_code
from attention_keras.extras import needs


def main() -> int:
    with needs("python evaluate.py", extra="evaluate"):
        from attention_keras.commands.evaluate import main_with_task_option

        return main_with_task_option(sys.argv[1:], "python evaluate.py", __doc__)


if __name__ == "__main__":
    sys.exit(exit_code(main))
