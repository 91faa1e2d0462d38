#!/usr/bin/env python3
"""Measure trained models: the same as `attention-keras evaluate`.

python evaluate.py runs/demo
python evaluate.py all runs/demo
python evaluate.py runs/pc runs/dp runs/gap --task faithfulness --limit 256
"""

import sys

from attention_keras.commands.command_line import exit_code
from attention_keras.errors import needs


def main() -> int:
    with needs("python evaluate.py", extra="evaluate"):
        from attention_keras.commands.evaluate import main

        return main(sys.argv[1:], "python evaluate.py")


if __name__ == "__main__":
    sys.exit(exit_code(main))
