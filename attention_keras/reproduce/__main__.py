"""`python -m attention_keras.reproduce`."""

import sys

from attention_keras.commands.command_line import exit_code
from attention_keras.commands.reproduce import main

if __name__ == "__main__":
    sys.exit(exit_code(main))
