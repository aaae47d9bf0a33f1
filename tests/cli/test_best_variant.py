"""``sweep best`` where each network was exported to several files."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from sweep.cli import app
from sweep.lifecycle import Journal
from sweep.lifecycle.events import (
    AttemptEnded,
    AttemptStarted,
    EpochTrained,
    SweepStarted,
    TrialAdmitted,
    TrialCompleted,
    TrialProposed,
)
from sweep.lifecycle.exports import ExportRecord

FP32 = ExportRecord(
    "fp32", "nearest", 1, "none", False, "", "fp32.tflite", si_rmse=0.25, latency_ms=20.0, final_score=1000.0
)
FP32_FAST = ExportRecord(
    "fp32", "nearest", 4, "none", False, "", "fp32.tflite", si_rmse=0.25, latency_ms=10.0, final_score=2000.0
)
INT8 = ExportRecord(
    "int8", "nearest", 4, "xnnpack", True, "", "int8.tflite", si_rmse=0.26, latency_ms=5.0, final_score=3500.0
)
UINT8 = ExportRecord("uint8", "nearest", 4, "xnnpack", reason="refused", tflite="uint8.tflite")


def write_sweep(runs: Path, exports: tuple[ExportRecord, ...]) -> None:
    completed = TrialCompleted(
        0,
        {"si_rmse": 0.26},
        5.0,
        3500.0,
        {},
        {},
        {},
        {"tflite": "int8.tflite"},
        exports=[record.to_json() for record in exports],
    )
    with Journal(runs / "demo") as journal:
        for event in (
            SweepStarted("demo", "id", {"max_epochs": 1}, {}, {}, {}),
            TrialProposed(0, {}, {}, "c", "a", "sampler"),
            TrialAdmitted(0, 5.0, {}, {}),
            AttemptStarted(0, 1, 0, 1, None),
            EpochTrained(0, 1, 1, 1.0, 0.3, 9.0, 0.1, 1.0, "e1"),
            AttemptEnded(0, 1, "reached"),
            completed,
        ):
            journal.append(event)
    for name in ("fp32", "int8", "uint8"):
        (runs / "demo" / f"{name}.tflite").write_bytes(name.encode())


@pytest.mark.parametrize(
    ("arguments", "content", "figures"),
    [
        (
            [],
            b"int8",
            "int8 with nearest upsampling at 4 threads, xnnpack, Final Score 3500.00, 5.00 ms, si-RMSE 0.2600",
        ),
        (
            ["--variant", "fp32"],
            b"fp32",
            "fp32 with nearest upsampling at 4 threads, no delegate, Final Score 2000.00, 10.00 ms, "
            "si-RMSE 0.2500",
        ),
    ],
)
def test_the_file_that_counts_or_the_variant_asked_for_is_written(
    tmp_path: Path, arguments: list[str], content: bytes, figures: str
) -> None:
    write_sweep(tmp_path, (FP32, FP32_FAST, INT8, UINT8))
    model = tmp_path / "model.tflite"
    done = CliRunner().invoke(app, ["best", "demo", "-o", str(model), "--runs", str(tmp_path), *arguments])
    assert (done.exit_code, done.output) == (0, f"{model}: trial 0, {figures}\n")
    assert model.read_bytes() == content


@pytest.mark.parametrize("variant", ["uint8", "int9"])
def test_a_variant_without_a_file_that_works_is_refused(tmp_path: Path, variant: str) -> None:
    write_sweep(tmp_path, (FP32, INT8, UINT8))
    model = tmp_path / "model.tflite"
    options = ["-o", str(model), "--runs", str(tmp_path), "--variant", variant]
    done = CliRunner().invoke(app, ["best", "demo", *options])
    assert done.exit_code == 2
    assert done.stderr == f"error: --variant: found '{variant}'; trial 0 has a working file of: fp32, int8\n"
    assert not model.exists()


def test_a_sweep_that_exports_one_file_has_it_as_fp32_alone(tmp_path: Path) -> None:
    write_sweep(tmp_path, ())
    model = tmp_path / "model.tflite"
    command = ["best", "demo", "-o", str(model), "--runs", str(tmp_path)]
    plain, named = CliRunner().invoke(app, command), CliRunner().invoke(app, [*command, "--variant", "fp32"])
    assert (
        plain.output == named.output == (f"{model}: trial 0, Final Score 3500.00, 5.00 ms, si-RMSE 0.2600\n")
    )
    refused = CliRunner().invoke(app, [*command, "--variant", "int8"])
    assert refused.stderr == "error: --variant: found 'int8'; trial 0 has a working file of: fp32\n"
