"""`auto` is decided by the device, the same way every time."""

import pytest
import tensorflow as tf

from attention_keras.training import device


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("flags\t\t: fpu avx2 avx512f avx512_bf16\n", "mixed_bfloat16"),
        ("flags\t\t: fpu avx2 amx_bf16 amx_tile\n", "mixed_bfloat16"),
        ("Features\t: fp asimd bf16\n", "mixed_bfloat16"),
        ("flags\t\t: fpu avx2 avx512f\n", "float32"),
        ("model name: a processor with bf16 in its name\n", "float32"),
        (None, "float32"),
    ],
)
def test_processors(cpuinfo, expected, tmp_path, monkeypatch):
    file = tmp_path / "cpuinfo"
    if cpuinfo is not None:
        file.write_text(f"processor\t: 0\n{cpuinfo}")
    monkeypatch.setattr(device, "PROCESSOR", file)
    assert {device.choose_precision() for _ in range(5)} == {expected}


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [([(8, 0)], "mixed_bfloat16"), ([(9, 0), (7, 5)], "float32"), ([None], "float32")],
)
def test_gpus(capabilities, expected, monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: capabilities)
    monkeypatch.setattr(
        tf.config.experimental,
        "get_device_details",
        lambda gpu: {"compute_capability": gpu} if gpu else {},
    )
    assert device.choose_precision() == expected
