"""``sweep compat`` with real files, this machine's runtime and a real farm."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from runtime_support import custom, listing, sum_graph
from typer.testing import CliRunner, Result

from device_farm.local import LocalFarm
from sweep.cli import app
from sweep.cli.compat_commands import can_run
from sweep.export.compatibility import Problem
from sweep.export.graph import TFLiteGraph, TFLiteOperator, TFLiteTensor
from sweep.export.proof import Outcome, Proof
from sweep.export.writer import write_tflite

Call = Callable[..., Result]


@pytest.fixture
def call() -> Call:
    """Run the command on a terminal 100 columns wide."""

    def run(*arguments: object) -> Result:
        runner = CliRunner(env={"COLUMNS": "100"})
        return runner.invoke(app, ["compat", *map(str, arguments)], prog_name="sweep")

    return run


@pytest.fixture
def swish(tmp_path: Path) -> Path:
    """A file with HARD_SWISH, which came with TFLite 1.15."""
    tensors = tuple(TFLiteTensor(name, (1, 8, 8, 4)) for name in ("x", "y"))
    operator = TFLiteOperator("HARD_SWISH", 1, ("x",), "y", None)
    path = tmp_path / "swish.tflite"
    path.write_bytes(write_tflite(TFLiteGraph(tensors, (operator,), input="x", output="y"), ""))
    return path


def ran(delegate: str, device: str = "") -> dict[str, Any]:
    return {
        "runtime": "tflite-2.14.0",
        "delegate": delegate,
        "device": device,
        "outcome": "ran",
        "words": "",
    }


def test_json_names_the_oldest_runtime_and_what_was_seen_here(call: Call, swish: Path) -> None:
    result = call(swish, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {
        "model": str(swish),
        "oldest_runtime": "1.15.0",
        "forced_by": [{"operator": "HARD_SWISH", "version": 1}],
        "unknown": [],
        "runs": [ran("none"), ran("xnnpack")],
    }


def test_a_runtime_that_cannot_run_the_file_ends_with_1_and_the_nearest_spelling(
    call: Call, swish: Path
) -> None:
    result = call(swish, "--runtime", "1.14.0")
    assert result.exit_code == 1
    assert f"{swish}: needs TensorFlow Lite 1.15.0 or newer (for HARD_SWISH version 1)\n" in result.stdout
    assert result.stdout.endswith(
        "does not run on tflite-1.14.0 (judged by operator versions, not by running it)\n"
        "  HARD_SWISH version 1 (first in TFLite 1.15.0); nearest that it has: x * relu6(x + 3) / 6, as "
        "ADD with a fused RELU6 and two MUL, or the activation relu6\n"
    )


def test_json_has_the_verdict_on_the_runtime_asked_about(call: Call, swish: Path) -> None:
    older, newer = (call(swish, "--runtime", name, "--json") for name in ("tflite-1.14.0", "litert-1.0.1"))
    assert (older.exit_code, newer.exit_code) == (1, 0)
    target = json.loads(older.stdout)["target"]
    assert (target["runtime"], target["runs"]) == ("tflite-1.14.0", False)
    assert [problem["operator"] for problem in target["problems"]] == ["HARD_SWISH"]
    assert json.loads(newer.stdout)["target"] == {"runtime": "litert-1.0.1", "runs": True, "problems": []}


def test_what_was_seen_on_the_runtime_is_the_verdict(call: Call, swish: Path) -> None:
    result = call(swish, "--runtime", "2.14.0")
    assert result.exit_code == 0
    assert result.stdout.endswith("runs on tflite-2.14.0 (as seen)\n")


def test_a_custom_operator_is_named_and_no_runtime_is_promised(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "custom.tflite"
    path.write_bytes(custom("FlexErf"))
    result = call(path, "--runtime", "2.14.0")
    assert result.exit_code == 1
    assert f"{path}: no release of TensorFlow Lite has CUSTOM:FlexErf version 1\n" in result.stdout
    assert (
        "does not run on tflite-2.14.0 (as seen)\n  CUSTOM:FlexErf version 1 (in no release" in result.stdout
    )


def test_an_operator_version_of_the_future_is_named(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "future.tflite"
    path.write_bytes(listing([("CONV_2D", 99)]))
    result = call(path, "--json")
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert (report["oldest_runtime"], report["unknown"]) == (None, [{"operator": "CONV_2D", "version": 99}])
    assert [run["outcome"] for run in report["runs"]] == ["refused", "refused"]
    assert "Didn't find op for builtin opcode 'CONV_2D' version '99'" in report["runs"][0]["words"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{tmp}/none.tflite"], "{tmp}/none.tflite: no such file"),
        (["{tmp}"], "{tmp}: a folder, not a file"),
        (["{tmp}/text"], "{tmp}/text: not a TFLite file: bytes 4 to 8 are b' mod', not b'TFL3'"),
        (
            ["{tmp}/sum.tflite", "--runtime", "newest"],
            "--runtime: runtime 'newest': allowed are 2.5.0, tflite-2.5.0, litert-2.3.0 and the like",
        ),
        (
            ["{tmp}/sum.tflite", "--farm", "nonsense"],
            "--farm: address 'nonsense': expected HOST:PORT, such as 127.0.0.1:50051",
        ),
    ],
)
def test_wrong_calls_name_what_was_found_and_what_is_allowed(
    call: Call, tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "sum.tflite").write_bytes(write_tflite(sum_graph(), ""))
    (tmp_path / "text").write_text("this model is no model")
    result = call(*(argument.format(tmp=tmp_path) for argument in arguments))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"error: {message.format(tmp=tmp_path)}\n"


@pytest.mark.parametrize(
    ("problems", "outcomes", "runs"),
    [
        (False, [], True),
        (True, [], False),
        (True, ["ran"], True),
        (False, ["refused", "ran"], False),
        (False, ["unknown"], True),
        (True, ["unknown"], False),
    ],
)
def test_what_was_seen_counts_more_than_what_the_versions_tell(
    problems: bool, outcomes: list[Outcome], runs: bool
) -> None:
    lacking = [Problem("GELU", 1, "2.9.0", "")] if problems else []
    elsewhere = Proof("tflite-2.14.0", "none", "", "refused" if runs else "ran")
    proofs = [Proof("tflite-2.5.0", "none", "", outcome) for outcome in outcomes]
    assert can_run("tflite-2.5.0", lacking, [*proofs, elsewhere]) is runs


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFarm]:
    with LocalFarm(tmp_path_factory.mktemp("farm"), name="bench") as farm:
        yield farm


def test_a_farms_runtimes_run_the_file(call: Call, farm: LocalFarm, swish: Path) -> None:
    result = call(swish, "--farm", farm.address, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["runs"] == [ran("none", "bench"), ran("xnnpack", "bench")]


def test_a_farm_that_does_not_answer_is_said(call: Call, swish: Path) -> None:
    result = call(swish, "--farm", "127.0.0.1:1")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: no farm answers at 127.0.0.1:1")
