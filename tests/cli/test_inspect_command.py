"""``sweep inspect`` describes any TFLite file, for people and for programs."""

import json
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from sweep.export.graph import DepthEncoding, Options, Quantization, TFLiteGraph, TFLiteOperator, TFLiteTensor
from sweep.export.inspection import examine
from sweep.export.writer import write_tflite
from sweep.report.inspection import inspection_view

PLAIN = Quantization((1.0,), (0,))
SAME = {"Padding": 0, "StrideH": 2, "StrideW": 2, "DilationHFactor": 1, "DilationWFactor": 1}
COLUMNS = {
    *("index", "name", "version", "inputs", "outputs", "output_name", "output_type", "output_shape"),
    *("multiply_adds", "multiply_add_share", "parameters", "live_bytes", "delegated"),
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A file that keeps the contract: a float network, and its depth as codes."""
    tensors = (
        TFLiteTensor("rgb", (1, 480, 640, 3)),
        TFLiteTensor("weights", (4, 3, 3, 3), np.ones((4, 3, 3, 3), np.float32)),
        TFLiteTensor("bias", (4,), np.zeros(4, np.float32)),
        TFLiteTensor("features", (1, 240, 320, 4)),
        TFLiteTensor("blocks", (1, 480, 640, 1)),
        TFLiteTensor("curve", (1, 480, 640, 1)),
        TFLiteTensor("depth", (1, 480, 640, 1), None, "uint8", PLAIN),
    )
    operators = (
        TFLiteOperator("CONV_2D", 1, ("rgb", "weights", "bias"), "features", Options("Conv2DOptions", SAME)),
        TFLiteOperator(
            "DEPTH_TO_SPACE", 1, ("features",), "blocks", Options("DepthToSpaceOptions", {"BlockSize": 2})
        ),
        TFLiteOperator("EXP", 1, ("blocks",), "curve", Options("ExpOptions")),
        TFLiteOperator("QUANTIZE", 1, ("curve",), "depth", None),
    )
    graph = TFLiteGraph(tensors, operators, "rgb", "depth", DepthEncoding("log", 400.0, 50_000.0))
    path = tmp_path / "model.tflite"
    path.write_bytes(write_tflite(graph, "by hand"))
    return path


def test_json_has_all_figures_under_stable_keys(call, model) -> None:
    result = call("inspect", model, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    found = json.loads(result.stdout)
    operators = found.pop("operators")
    remarks = found.pop("remarks")
    runtime = found["delegation"].pop("runtime")
    assert runtime.startswith("tflite-runtime 2.")
    assert found == {
        "file": str(model),
        "size_bytes": model.stat().st_size,
        "description": "by hand",
        "subgraphs": 1,
        "inputs": [
            {"index": 0, "name": "rgb", "type": "float32", "shape": [1, 480, 640, 3], "quantization": None}
        ],
        "outputs": [
            {
                "index": 6,
                "name": "depth",
                "type": "uint8",
                "shape": [1, 480, 640, 1],
                "quantization": {"scales": [1.0], "zero_points": [0], "axis": 0},
            }
        ],
        "depth_encoding": {"kind": "log", "min_mm": 400.0, "max_mm": 50_000.0},
        "keeps_contract": True,
        "parameters": 112,
        "parameters_by_type": {"float32": 112},
        "multiply_adds": 240 * 320 * 4 * 27,
        "tensors": 7,
        "constants": 2,
        "constant_bytes": 448,
        "memory": {
            # The frame, and twice a float map of one channel; the codes come when the first of these is gone.
            "peak_bytes": 3_686_400 + 2 * 1_228_800,
            "peak_operator": 1,
            "peak_tensors": [0, 3, 4],
            "unpacked_bytes": 0,
            "total_bytes": 3_686_400 + 2 * 1_228_800 + 448,
        },
        "oldest_runtime": found["noted_runtime"],
        "noted_runtime": found["noted_runtime"],
        "delegation": {"partitions": 1, "left": 2},
        "metadata": [
            {"name": "min_runtime_version", "bytes": 16},
            {"name": "depth_encoding", "bytes": 51},
        ],
    }
    assert all(set(operator) == COLUMNS for operator in operators)
    assert operators[0] == {
        "index": 0,
        "name": "CONV_2D",
        "version": 1,
        "inputs": [0, 1, 2],
        "outputs": [3],
        "output_name": "features",
        "output_type": "float32",
        "output_shape": [1, 240, 320, 4],
        "multiply_adds": 240 * 320 * 4 * 27,
        "multiply_add_share": 1.0,
        "parameters": 112,
        "live_bytes": 3_686_400 + 1_228_800,
        "delegated": True,
    }
    assert [operator["name"] for operator in operators[1:]] == ["DEPTH_TO_SPACE", "EXP", "QUANTIZE"]
    assert all(
        set(remark) == {"kind", "level", "found", "advice", "operators", "tensors"} for remark in remarks
    )
    assert {remark["kind"] for remark in remarks} == {"not_delegated", "integers_not_delegated"}


def test_the_text_says_the_same_in_words_within_80_columns_and_more(call, model) -> None:
    result = call("inspect", model)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = [line.rstrip() for line in result.stdout.splitlines()]
    assert max(map(len, lines)) <= 100
    for line in (
        f"size          {model.stat().st_size:,} bytes, of which constants 448",
        "input         rgb: 1x480x640x3 float32",
        "contract      kept: a depth network that can be judged",
        "parameters    112 float32",
        "multiply-adds 8.3 M",
        "tensors       7, of which 2 constant",
        "operators     4: CONV_2D 1, DEPTH_TO_SPACE 1, EXP 1, QUANTIZE 1",
        "What stands out",
        "Operators, in the order of execution",
        "* not taken by XNNPACK",
    ):
        assert line in lines
    words = " ".join(result.stdout.split())
    assert (
        "output depth: 1x480x640x1 uint8, scale 1, zero point 0; codes 0 to 255 are 400 to 50000 mm, log"
        in words
    )
    assert (
        "memory at least 6.14 MB of activations, at operator 1 DEPTH_TO_SPACE (blocks): rgb 3.69 MB" in words
    )
    assert "0 CONV_2D 1 1x240x320x4 float32 8.29 100.0% 112 features" in words
    assert "2 EXP* 1 1x480x640x1 float32 curve" in words


@pytest.mark.parametrize(
    ("width", "end"), [(79, ["float32"]), (80, ["float32", "curve"]), (120, ["float32", "curve"])]
)
def test_names_of_tensors_give_way_where_figures_leave_no_room(model, width, end) -> None:
    console = Console(width=width, file=StringIO())
    console.print(inspection_view(examine(model), width=width))
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    (line,) = [line for line in lines if "EXP*" in line]
    assert line.split() == ["2", "EXP*", "1", "1x480x640x1", *end]


def test_a_file_that_breaks_the_contract_is_described_and_told_so(call, tmp_path) -> None:
    tensors = (TFLiteTensor("x", (1, 4)), TFLiteTensor("y", (1, 4)))
    graph = TFLiteGraph(tensors, (TFLiteOperator("EXP", 1, ("x",), "y", Options("ExpOptions")),), "x", "y")
    path = tmp_path / "small.tflite"
    path.write_bytes(write_tflite(graph, ""))
    result = call("inspect", path)
    assert result.exit_code == 0
    assert "problem it breaks the contract of depth networks: input 'x' is 1x4 float32" in " ".join(
        result.stdout.split()
    )
    found = json.loads(call("inspect", path, "--json").stdout)
    assert (found["keeps_contract"], found["depth_encoding"]) == (False, None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a TFLite file: the model is empty (0 bytes)"),
        (b"PK\x03\x04", "not a TFLite file: only 4 bytes long"),
        (
            b"\x89PNG\r\n\x1a\n" + bytes(99),
            "not a TFLite file: bytes 4 to 8 are b'\\r\\n\\x1a\\n', not b'TFL3'",
        ),
        (b"\x1c\0\0\0TFL3", "the TFLite file is damaged (a table ends at byte 32 of 8)"),
    ],
)
def test_what_is_no_tflite_file_is_refused_in_one_line(call, tmp_path, content, message) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    result = call("inspect", path)
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"error: {path}: {message}\n")


def test_what_is_no_file_is_refused_in_one_line(call, tmp_path) -> None:
    for path, found in ((tmp_path, "a folder, not a file"), (tmp_path / "missing.tflite", "no such file")):
        result = call("inspect", path)
        assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"error: {path}: {found}\n")


def test_a_broken_encoding_is_a_remark_and_evaluate_refuses_it(call, model) -> None:
    data = model.read_bytes()
    model.write_bytes(data.replace(b'"min_mm": 400.0', b'"min_mm": -40.0'))
    found = json.loads(call("inspect", model, "--json").stdout)
    assert found["remarks"][0]["found"].endswith("min_mm is -40.0, allowed is a number from 0 to 1e+06")
    result = call("evaluate", model)
    message = "metadata entry 'depth_encoding': min_mm is -40.0, allowed is a number from 0 to 1e+06"
    assert (result.exit_code, result.stderr) == (2, f"error: {model}: {message}\n")
