#!/usr/bin/env python3
"""Train an attention classifier: the same as `attention-keras train`.

python train.py
python train.py --dataset svhn --compat pc
"""

import sys

from attention_keras.commands.command_line import exit_code
from attention_keras.errors import needs


def main() -> int:
    with needs("python train.py", extra="train"):
        from attention_keras.commands.train import main

        return main(sys.argv[1:], "python train.py")


if __name__ == "__main__":
    sys.exit(exit_code(main))
