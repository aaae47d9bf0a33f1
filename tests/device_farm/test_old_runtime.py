"""TensorFlow Lite 2.5.0, the challenge's runtime, in a Python of its own beside today's on one device."""

import asyncio
import hashlib
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import tflite
from farm_models import add_model

from device_farm.jobs import Infeasible, Job, RunOutcome, RunReport
from device_farm.types import MeasurementSettings, Target
from device_farm.worker.execution import run_job
from device_farm.worker.reference import reference_path
from device_farm.worker.runtimes import InstalledRuntime, find_runtimes
from device_farm.worker.surroundings import Surroundings

pytestmark = pytest.mark.tflite25

OLD, NEW = "tflite-2.5.0", "tflite-2.14.0"
RELU_0_TO_1 = tflite.BuiltinOperator.RELU_0_TO_1  # 152
PLACEHOLDER = tflite.BuiltinOperator.PLACEHOLDER_FOR_GREATER_OP_CODES


def newer_model() -> bytes:
    """y = min(max(x, 0), 1), by an operator that came after TFLite 2.5.0."""
    # A custom operator has one input and no options, as this one wants it; only its code must change.
    model = bytearray(add_model(custom_operator="exchanged"))
    code = tflite.Model.GetRootAs(model).OperatorCodes(0)._tab
    # A field's place in the vtable is 4 + 2 * its id in the schema.
    deprecated_builtin_code, builtin_code = 4, 10
    struct.pack_into("<b", model, code.Pos + code.Offset(deprecated_builtin_code), PLACEHOLDER)
    struct.pack_into("<i", model, code.Pos + code.Offset(builtin_code), RELU_0_TO_1)
    return bytes(model)


@pytest.fixture(scope="module")
def installed() -> dict[str, InstalledRuntime]:
    """What a worker of this machine offers, by name."""
    named = {OLD: os.environ["DEPTH_SWEEP_TFLITE25_PYTHON"]}
    found = asyncio.run(find_runtimes(named, reference_path()))
    return {entry.runtime.name: entry for entry in found}


@pytest.fixture
def execute(installed: dict[str, InstalledRuntime], tmp_path: Path) -> Callable[[bytes, str], RunOutcome]:
    settings = MeasurementSettings(
        min_invocations=8, max_invocations=8, warmup_seconds=0.1, sampling_seconds=0.1
    )

    def run(model: bytes, runtime: str) -> RunOutcome:
        job = Job("j", hashlib.sha256(model).hexdigest(), Target(runtime=runtime, delegate="none"), settings)

        async def fetch() -> Path:
            path = tmp_path / "model.tflite"
            path.write_bytes(model)
            return path

        return asyncio.run(run_job(job, fetch, installed[runtime], reference_path(), Surroundings()))

    return run


def test_an_operator_newer_than_the_old_runtime_is_infeasible_there_and_runs_on_the_new_one(execute):
    refused = execute(newer_model(), OLD)
    assert isinstance(refused, Infeasible), refused
    assert "Op builtin_code out of range: 152. Are you using old TFLite binary" in refused.message
    report = execute(newer_model(), NEW)
    assert isinstance(report, RunReport), report
    assert (report.runtime, report.runtime_version) == (NEW, "2.14.0")


def test_both_runtimes_compute_the_same_sum(execute):
    old, new = execute(add_model(), OLD), execute(add_model(), NEW)
    assert isinstance(old, RunReport), old
    assert isinstance(new, RunReport), new
    assert (old.runtime_version, new.runtime_version) == ("2.5.0", "2.14.0")
    assert str(old.evidence["runner_python"]).startswith("3.8.")
    assert old.evidence["output_sha256"] == new.evidence["output_sha256"]
