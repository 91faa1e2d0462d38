"""One piece of a grid in a process of its own: `python -m attention_keras.reproduce.member KIND FIELDS`.

KIND is `train` or `evaluate`, FIELDS the JSON of a `TrainConfig`, or of a task with its options. A process a
piece, because what TensorFlow has compiled and allocated for one network is never given back.
"""

import json
import sys

from attention_keras.commands.command_line import exit_code


def main() -> int:
    kind, text = sys.argv[1:]
    fields = json.loads(text)
    if kind == "train":
        from attention_keras.commands import train as command
        from attention_keras.runs.options import TrainConfig

        return command.run(TrainConfig.from_dict(fields))
    from attention_keras.commands import evaluate as command
    from attention_keras.evaluation.options import TASKS

    options = TASKS[fields.pop("task")]
    return command.run(options(**{**fields, "runs": tuple(fields["runs"])}))


if __name__ == "__main__":
    sys.exit(exit_code(main))
