"""Loading trained models, safely."""

from pathlib import Path

import keras

from attention_keras import layers  # noqa: F401  (registers the layers)
from attention_keras.errors import UserError


def load_model(path: str | Path) -> keras.Model:
    """The Keras model of a run directory or a `.keras` file."""
    path = Path(path)
    file = path / "model.keras" if path.is_dir() else path
    if not file.exists():
        raise UserError(f"{path} is no run and no .keras file: {file} does not exist")
    if file.suffix != ".keras":
        raise UserError(f"{file} is not a .keras file")
    try:
        return keras.models.load_model(file, compile=False)
    except Exception as error:
        raise UserError(f"cannot load {file}: {str(error).splitlines()[0]}") from None
