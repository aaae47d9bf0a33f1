"""The farm stands alone: what a Raspberry Pi installs is enough."""

import json
import pkgutil
import subprocess
import sys
from pathlib import Path

from device_farm import types

FORBIDDEN = {
    "ai_edge_litert",
    "cryptography",
    "cv2",
    "flatbuffers",
    "mlflow",
    "onnx",
    "onnxruntime",
    "optuna",
    "pandas",
    "psutil",
    "pydantic",
    "ray",
    "sqlalchemy",
    "sweep",
    "tensorflow",
    "tflite",
    "tflite_runtime",
    "torch",
    "yaml",
}
# Programs: the one would start, the other needs what generates the code.
NOT_IMPORTED = {"device_farm.__main__", "device_farm.rpc.generate"}


def modules() -> list[str]:
    folder = Path(types.__file__).parent
    found = [entry.name for entry in pkgutil.walk_packages([str(folder)], "device_farm.")]
    return sorted(set(found) - NOT_IMPORTED)


def test_importing_the_whole_farm_loads_no_framework():
    script = (
        f"import importlib, json, sys; [importlib.import_module(name) for name in {modules()}]; "
        "print(json.dumps(sorted(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    loaded = set(json.loads(result.stdout))
    assert {"device_farm.worker.worker", "device_farm.coordinator.server", "device_farm.cli"} <= loaded
    assert not {name.partition(".")[0].lower() for name in loaded} & FORBIDDEN


def test_the_types_need_no_grpc():
    script = "import sys, device_farm.types; print({'grpc', 'google', 'numpy'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert result.stdout == "set()\n"
