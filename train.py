#!/usr/bin/env python3
"""Train an attention classifier. With no flags: the embedded data, about three minutes on two cores.

Examples:
    python train.py
    python train.py --dataset svhn --compat pc
    python train.py --dataset cifar10 --model vgg-att2-concat-dp --width 0.25 --epochs 20
    python train.py --list-models

Results go to runs/<name>/ and saved_models/<name>/<version>/. The same command resumes a run that
was interrupted; exit codes: 0 done, 2 a mistake in the command, 128 + n stopped by signal n after saving.
"""

import sys

from attention_keras.commands.command_line import exit_code, parse
from attention_keras.commands.quiet_start import import_tensorflow
from attention_keras.runs.options import TrainConfig


def main() -> int:
    arguments = sys.argv[1:]
    if arguments == ["--list-models"]:
        import_tensorflow()
        from attention_keras.commands.list_models import print_models

        print_models()
        return 0
    config = parse(TrainConfig, arguments, description=__doc__)

    from attention_keras.commands.train import run

    return run(config)


if __name__ == "__main__":
    sys.exit(exit_code(main))
