"""What a person reads before a run starts."""

from attention_keras.data.datasets import load_dataset
from attention_keras.models.zoo import build_model
from attention_keras.runs.config import RunConfig
from attention_keras.training import report


def test_the_printed_recipe_is_what_runs_and_warnings_come_where_they_are_due(monkeypatch, tmp_path):
    dataset, model = load_dataset("cluttered_digits", limit=20), build_model("vgg-att1-pc", width=0.03)

    def lines(seconds=60.0, **flags):
        monkeypatch.setattr(report, "estimate_seconds", lambda *arguments: seconds)
        config = RunConfig(model="vgg-att1-pc", width=0.03, precision="float32", **flags)
        return "\n".join(report.summarize(config, dataset, model, None))

    text = lines(epochs=3, learning_rate=0.5)
    parameters = sum(variable.numpy().size for variable in model.trainable_variables)
    assert f"vgg-att1-pc, width 0.03: {parameters:,} parameters" in text
    assert "20 training and 4 validation images of 32x32, 10 classes" in text
    for said in ("epochs 3", "batch size 64", "optimizer adamw", "learning rate 0.5", "schedule cosine"):
        assert f", {said}, " in text, said
    assert "about 60 s (estimate)" in text and "WARNING" not in text
    assert "takes more than a day" in lines(seconds=90_000.0)
    assert "a mirrored image of cluttered_digits is another one" in lines(augment="flip")
    monkeypatch.setattr(report, "NVIDIA_DRIVER", tmp_path)
    assert "TensorFlow sees no GPU" in lines()
