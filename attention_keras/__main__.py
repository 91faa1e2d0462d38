"""`python -m attention_keras` is the command `attention-keras`."""

from attention_keras.commands.main import console

if __name__ == "__main__":
    console()
