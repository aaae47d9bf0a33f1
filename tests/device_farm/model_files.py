"""TFLite files of TensorFlow's converter, and ways to change and read any file."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import flatbuffers
from ai_edge_litert.schema_py_generated import Model, ModelT, QuantizationParametersT, TensorType
from farm_models import add_model


def rewritten(data: bytes, change: Callable[[ModelT], object]) -> bytes:
    """The file after a change of its content: sound as a flatbuffer, whatever the change."""
    model = unpacked(data)
    change(model)
    builder = flatbuffers.Builder(len(data))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def unpacked(data: bytes) -> ModelT:
    """All that the file holds, read by generated code that follows offsets unchecked."""
    return ModelT.InitFromObj(Model.GetRootAs(data))


def aborting_model() -> bytes:
    """A file without a flaw in its structure that makes tflite-runtime 2.14 abort: its output's scale is 1e-31."""

    def quantise(model: ModelT) -> None:
        for tensor, scale in zip(model.subgraphs[0].tensors, (1.0, 1e-31), strict=True):
            tensor.type = TensorType.INT8
            tensor.quantization = QuantizationParametersT(scale=[scale], zeroPoint=[0])

    return rewritten(add_model(), quantise)


def convert_with_tensorflow(folder: Path) -> dict[str, bytes]:
    """Files of TensorFlow's own converter, by what is special about them; takes a minute."""
    script = Path(__file__).with_name("tensorflow_files_child.py")
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "TF_ENABLE_ONEDNN_OPTS": "0"}
    child = subprocess.run(
        [sys.executable, str(script), str(folder)],
        env={**os.environ, **quiet},
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stderr[-2000:]
    return {path.stem: path.read_bytes() for path in folder.glob("*.tflite")}
