"""The farm stands alone: what a Raspberry Pi installs is enough."""

import json
import subprocess
import sys

import pytest

FORBIDDEN = {
    "sweep",
    "torch",
    "ray",
    "tensorflow",
    "onnx",
    "optuna",
    "mlflow",
    "sqlalchemy",
    "tflite_runtime",
}


@pytest.mark.parametrize("module", ["worker", "client", "server", "local", "cli", "types"])
def test_importing_the_farm_loads_no_framework(module):
    script = f"import json, sys, device_farm.{module}; print(json.dumps(sorted(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    loaded = {name.partition(".")[0].lower() for name in json.loads(result.stdout)}
    assert "device_farm" in loaded
    assert not loaded & FORBIDDEN


def test_the_types_need_no_grpc():
    script = "import sys, device_farm.types; print({'grpc', 'google', 'numpy'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert result.stdout == "set()\n"
