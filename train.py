#!/usr/bin/env python3
"""Train an attention classifier: the same as `attention-keras train`.

python train.py
python train.py --dataset svhn --compat pc
python train.py --list-models
"""

import sys

from attention_keras.commands.command_line import exit_code
from attention_keras.commands.train import main

if __name__ == "__main__":
    sys.exit(exit_code(lambda: main(sys.argv[1:], "python train.py")))
