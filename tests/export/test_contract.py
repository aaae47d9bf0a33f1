"""Files that break the contract, or are no TFLite files at all, are told what is wrong with them."""

from pathlib import Path

import flatbuffers
import numpy as np
import pytest
import tflite

from sweep.export import ContractError, RunnerError, check_contract, inspect_model
from sweep.export.graph import Options, Shape, TFLiteGraph, TFLiteOperator, TFLiteTensor
from sweep.export.interpreter import TFLiteRunner
from sweep.export.writer import write_tflite

FRAME: Shape = (1, 480, 640, 3)


def written(folder: Path, frame: Shape, depth: Shape, kind: str = "float32") -> Path:
    """A file with that input and output; it could not run, which nothing here looks at."""
    target = TFLiteTensor("target", (len(depth),), np.array(depth, np.int32))
    tensors = (TFLiteTensor("rgb", frame), target, TFLiteTensor("depth", depth))
    operator = TFLiteOperator("RESHAPE", 1, ("rgb", "target"), "depth", Options("ReshapeOptions"))
    data = bytearray(write_tflite(TFLiteGraph(tensors, (operator,), "rgb", "depth"), "a test"))
    path = folder / "model.tflite"
    path.write_bytes(data if kind == "float32" else retyped(kind))
    return path


def retyped(kind: str) -> bytes:
    """A file of two tensors and no operator whose input has another type than the exporter ever writes."""
    builder = flatbuffers.Builder(1024)
    code = {"uint8": tflite.TensorType.UINT8, "int8": tflite.TensorType.INT8}[kind]
    offsets = []
    for name, shape, type_code in (
        ("rgb", FRAME, code),
        ("depth", (1, 480, 640, 1), tflite.TensorType.FLOAT32),
    ):
        text = builder.CreateString(name)
        sizes = builder.CreateNumpyVector(np.array(shape, np.int32))
        tflite.TensorStart(builder)
        tflite.TensorAddName(builder, text)
        tflite.TensorAddShape(builder, sizes)
        tflite.TensorAddType(builder, type_code)
        offsets.append(tflite.TensorEnd(builder))
    tensors = vector(builder, offsets)
    ends = [builder.CreateNumpyVector(np.array([index], np.int32)) for index in (0, 1)]
    tflite.SubGraphStart(builder)
    tflite.SubGraphAddTensors(builder, tensors)
    tflite.SubGraphAddInputs(builder, ends[0])
    tflite.SubGraphAddOutputs(builder, ends[1])
    graph = vector(builder, [tflite.SubGraphEnd(builder)])
    tflite.BufferStart(builder)
    buffers = vector(builder, [tflite.BufferEnd(builder)])
    tflite.ModelStart(builder)
    tflite.ModelAddVersion(builder, 3)
    tflite.ModelAddSubgraphs(builder, graph)
    tflite.ModelAddBuffers(builder, buffers)
    builder.Finish(tflite.ModelEnd(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def vector(builder: flatbuffers.Builder, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


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
    with pytest.raises(ContractError, match="not a TFLite file"):
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
    assert (info.parameters, info.multiply_adds) == (0, 0)
    assert [(t.name, t.type, t.constant) for t in info.tensors] == [
        ("rgb", "float32", False),
        ("target", "int32", True),
        ("depth", "float32", False),
    ]


def test_buffers_are_aligned_to_sixteen_bytes(tmp_path: Path) -> None:
    data = written(tmp_path, FRAME, (1, 480, 640, 1)).read_bytes()
    model = tflite.Model.GetRootAs(data, 0)
    assert model.Buffers(0).DataLength() == 0
    for index in range(1, model.BuffersLength()):
        table = model.Buffers(index)._tab
        assert table.Vector(table.Offset(4)) % 16 == 0
