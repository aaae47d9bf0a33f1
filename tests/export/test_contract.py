"""Files that break the contract, or are no TFLite files at all, are told what is wrong with them."""

from pathlib import Path

import numpy as np
import pytest
import tflite

from sweep.export import ContractError, RunnerError, check_contract, inspect_model
from sweep.export.graph import (
    Options,
    Quantization,
    Shape,
    TensorType,
    TFLiteGraph,
    TFLiteOperator,
    TFLiteTensor,
)
from sweep.export.interpreter import TFLiteRunner
from sweep.export.model_info import MetadataEntry
from sweep.export.writer import write_tflite

FRAME: Shape = (1, 480, 640, 3)


def written(
    folder: Path,
    frame: Shape,
    depth: Shape,
    kind: TensorType = "float32",
    quantization: Quantization | None = None,
) -> Path:
    """A file with that input and output; it could not run, which nothing here looks at."""
    target = TFLiteTensor("target", (len(depth),), np.array(depth, np.int32), "int32")
    rgb = TFLiteTensor("rgb", frame, None, kind, quantization)
    operator = TFLiteOperator("RESHAPE", 1, ("rgb", "target"), "depth", Options("ReshapeOptions"))
    graph = TFLiteGraph((rgb, target, TFLiteTensor("depth", depth)), (operator,), "rgb", "depth")
    path = folder / "model.tflite"
    path.write_bytes(write_tflite(graph, "a test"))
    return path


@pytest.mark.parametrize("depth", [(1, 480, 640, 1), (1, 480, 640)])
def test_both_depth_shapes_are_allowed(depth: Shape, tmp_path: Path) -> None:
    contract = check_contract(written(tmp_path, FRAME, depth))
    assert (contract.input_type, contract.input_shape, contract.output_shape) == ("float32", FRAME, depth)


def test_a_uint8_input_is_allowed(tmp_path: Path) -> None:
    assert check_contract(written(tmp_path, FRAME, (1, 480, 640, 1), "uint8")).input_type == "uint8"


@pytest.mark.parametrize(
    ("frame", "depth", "kind", "message"),
    [
        (
            (1, 3, 480, 640),
            (1, 480, 640, 1),
            "float32",
            "input 'rgb' is 1x3x480x640 float32, allowed is 1x480x",
        ),
        ((1, 240, 320, 3), (1, 480, 640, 1), "float32", "input 'rgb' is 1x240x320x3 float32, allowed is"),
        (FRAME, (1, 48, 64, 1), "float32", "output 'depth' is 1x48x64x1 float32, allowed is 1x480x640x1 or"),
        (FRAME, (1, 1, 480, 640), "float32", "output 'depth' is 1x1x480x640 float32"),
        (FRAME, (1, 480, 640, 1), "int8", "input 'rgb' is 1x480x640x3 int8, allowed is .* uint8"),
    ],
)
def test_other_shapes_and_types_are_named_with_what_is_allowed(
    frame: Shape, depth: Shape, kind: str, message: str, tmp_path: Path
) -> None:
    path = written(tmp_path, frame, depth, kind)
    with pytest.raises(ContractError, match=rf"model\.tflite: {message}"):
        check_contract(path)
    with pytest.raises(ContractError):
        TFLiteRunner(path)


def test_a_file_that_is_no_tflite_file_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "picture.tflite"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    with pytest.raises(ContractError, match="not a TFLite file"):
        check_contract(path)
    path.write_bytes(b"")
    with pytest.raises(ContractError, match=r"not a TFLite file: the model is empty \(0 bytes\)"):
        check_contract(path)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9])
def test_a_truncated_file_is_an_error_and_not_a_crash(share: float, tmp_path: Path) -> None:
    path = written(tmp_path, FRAME, (1, 480, 640, 1))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises((ContractError, RunnerError)):
        TFLiteRunner(path)


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        check_contract(tmp_path / "missing.tflite")


def test_a_file_that_the_runtime_refuses_is_told_with_the_runtimes_version(tmp_path: Path) -> None:
    path = written(tmp_path, FRAME, (1, 480, 640, 1))  # 3 channels do not reshape to 1
    with pytest.raises(RunnerError, match=r"model\.tflite: tflite-runtime 2\.\d+\.\d+ refuses the file"):
        TFLiteRunner(path)


def test_inspection_tells_description_runtime_and_versions(tmp_path: Path) -> None:
    info = inspect_model(written(tmp_path, FRAME, (1, 480, 640, 1)))
    assert (info.description, info.min_runtime_version) == ("a test", "1.5.0")
    assert info.operator_counts == {"RESHAPE": 1}
    assert info.operator_versions == {("RESHAPE", 1)}
    assert (info.parameters, info.multiply_adds, info.subgraphs) == (0, 0, 1)
    assert info.metadata == (MetadataEntry("min_runtime_version", b"1.5.0".ljust(16, b"\0")),)
    assert (info.inputs, info.outputs) == ((info.tensors[0],), (info.tensors[2],))
    assert [(t.name, t.type, t.constant) for t in info.tensors] == [
        ("rgb", "float32", False),
        ("target", "int32", True),
        ("depth", "float32", False),
    ]


def test_constants_quantisation_and_options_are_read_as_they_were_written(tmp_path: Path) -> None:
    quantization = Quantization((0.5, 0.25, 2.0), (0, 3, -1), axis=3)
    info = inspect_model(written(tmp_path, FRAME, (1, 480, 640, 1), "uint8", quantization))
    rgb, target, depth = info.tensors
    assert (rgb.quantization, target.quantization, depth.quantized) == (quantization, None, False)
    assert (rgb.values, rgb.nbytes, depth.nbytes) == (None, 921_600, 1_228_800)
    np.testing.assert_array_equal(target.values, np.array([1, 480, 640, 1], np.int32))
    assert target.values.dtype == np.int32
    (operator,) = info.operators
    assert operator.options == {"new_shape": b"", "custom_options": b""}
    assert (info.readers, info.writers) == ({0: (0,), 1: (0,)}, {2: 0})


def test_buffers_are_aligned_to_sixteen_bytes(tmp_path: Path) -> None:
    data = written(tmp_path, FRAME, (1, 480, 640, 1)).read_bytes()
    model = tflite.Model.GetRootAs(data, 0)
    assert model.Buffers(0).DataLength() == 0
    for index in range(1, model.BuffersLength()):
        table = model.Buffers(index)._tab
        assert table.Vector(table.Offset(4)) % 16 == 0
