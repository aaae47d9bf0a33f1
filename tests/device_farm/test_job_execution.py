"""Jobs in real child processes, under the real interpreter and under Pythons that misbehave."""

import ast
import asyncio
import hashlib
import json
import os
import select
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from farm_models import add_model

from device_farm.execution import run_job
from device_farm.jobs import Failed, Infeasible, Job, RunReport
from device_farm.runtimes import RUNNER, InstalledRuntime, RuntimeProblem, find_runtimes, probe_runtime
from device_farm.types import MeasurementSettings, Runtime, Target

SETTINGS = MeasurementSettings(
    warmup_invocations=2, min_invocations=8, max_invocations=12, sampling_seconds=5, memory_limit_mb=256
)
SLOW = (1, 1024, 1024, 8)


@pytest.fixture(scope="session")
def own_runtime() -> InstalledRuntime:
    return asyncio.run(probe_runtime("tflite", sys.executable))


@pytest.fixture
def execute(tmp_path, own_runtime):
    def run(model: bytes, target=None, settings=SETTINGS, installed=own_runtime):
        path = tmp_path / "model.tflite"
        path.write_bytes(model)
        job = Job("j", hashlib.sha256(model).hexdigest(), target or Target(), settings)
        return asyncio.run(run_job(job, path, installed))

    return run


@pytest.fixture
def wrong_python(tmp_path):
    """A "Python" that is a shell script."""

    def make(script: str) -> InstalledRuntime:
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return InstalledRuntime(Runtime("tflite-1.0", "1.0", ("none", "xnnpack")), "tflite", str(path))

    return make


@pytest.mark.parametrize("delegate", ["xnnpack", "none"])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_model_is_run_as_asked_and_the_report_says_under_which_conditions(execute, threads, delegate):
    report = execute(add_model(), Target(threads=threads, delegate=delegate))
    assert isinstance(report, RunReport), report
    assert (report.threads, report.delegate) == (threads, delegate)
    assert (report.runtime, report.runtime_version) == ("tflite-2.14.0", "2.14.0")
    assert (len(report.warmup_ms), len(report.samples_ms), len(report.cpu_ms)) == (2, 12, 12)
    assert all(sample > 0 for sample in report.samples_ms + report.warmup_ms)
    # The interpreter shows a delegate's part of the graph as an operator: the proof that it is in use.
    assert report.evidence["delegate_partitions"] == (1 if delegate == "xnnpack" else 0)
    assert report.evidence["threads"] == threads
    assert report.evidence["stopped_by"] == "max_invocations"
    assert report.evidence["runner_python"] == ".".join(map(str, sys.version_info[:3]))
    assert set(report.evidence) == {
        *("cpu_wall_ratio", "delegate", "delegate_partitions", "governor", "load_ms", "peak_memory_mb"),
        *("runner_python", "runtime_package", "runtime_version", "stopped_by", "threads", "throttled"),
        *(
            f"{what}_{when}"
            for what in ("temperature_c", "frequency_mhz", "load_average")
            for when in ("before", "after")
        ),
    }


def test_sampling_stops_when_its_time_is_spent_but_not_before_the_fewest_samples(execute):
    report = execute(add_model(), settings=replace(SETTINGS, sampling_seconds=0, max_invocations=100))
    assert len(report.samples_ms) == 8
    assert report.evidence["stopped_by"] == "sampling_seconds"


def test_an_operator_that_the_runtime_does_not_know_is_infeasible_in_its_own_words(execute):
    outcome = execute(add_model(custom_operator="NoSuchOp"))
    assert isinstance(outcome, Infeasible)
    assert "Encountered unresolved custom op: NoSuchOp" in outcome.message


@pytest.mark.parametrize("kept", [8, 60, 100])
def test_a_truncated_file_is_infeasible(execute, kept):
    assert isinstance(execute(add_model()[:kept]), Infeasible)


def test_a_damaged_file_that_kills_the_interpreter_is_infeasible(execute):
    damaged = bytearray(add_model())
    damaged[76] ^= 1  # an offset into the operator codes
    outcome = execute(bytes(damaged))
    assert isinstance(outcome, Infeasible)
    assert "the interpreter died of SIGSEGV" in outcome.message


def test_a_model_that_needs_more_memory_than_allowed_is_infeasible(execute):
    # Two tensors of 128 MiB against a limit of 64; with 512 the same file runs.
    model = add_model((1, 2048, 2048, 8))
    outcome = execute(model, settings=replace(SETTINGS, memory_limit_mb=64))
    assert isinstance(outcome, Infeasible)
    assert "memory" in outcome.message
    assert isinstance(execute(model, settings=replace(SETTINGS, memory_limit_mb=512)), RunReport)


def test_a_model_that_does_not_end_in_time_is_infeasible(execute):
    endless = MeasurementSettings(
        min_invocations=100_000, max_invocations=100_000, sampling_seconds=0, timeout_seconds=1.5
    )
    outcome = execute(add_model(SLOW), settings=endless)
    assert outcome == Infeasible("timed out: the model could not be measured within 1.5 s")


def test_a_delegate_that_the_runtime_lacks_is_refused_not_replaced(execute, own_runtime):
    bare = replace(own_runtime, runtime=replace(own_runtime.runtime, delegates=("none",)))
    outcome = execute(add_model(), Target(delegate="xnnpack"), installed=bare)
    assert outcome == Failed("tflite-2.14.0 does not offer delegate xnnpack", retryable=False)


STARTED = """read job; echo '{"event": "started", "version": "1.0"}'"""


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("read job; exit 3", Failed("the interpreter ended without an answer (exit status 3)")),
        ("kill -SEGV $$", Failed("the interpreter died of SIGSEGV")),
        (
            f"{STARTED}; echo assertion failed >&2; kill -ABRT $$",
            Infeasible(
                "the interpreter died of SIGABRT under a memory limit of 256 MB; its log:\nassertion failed"
            ),
        ),
        (f"{STARTED}; kill -TERM $$", Failed("the interpreter died of SIGTERM")),
        ("sleep 1000 & sleep 1000", Failed("the runtime did not start within 1 s")),
        (
            f"{STARTED}; sleep 1000",
            Infeasible("timed out: the model could not be loaded within 1 s"),
        ),
    ],
)
def test_however_a_child_ends_there_is_one_outcome(execute, wrong_python, script, expected):
    settings = replace(SETTINGS, timeout_seconds=1)
    assert execute(add_model(), settings=settings, installed=wrong_python(script)) == expected


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("hello", "answered no JSON line of the runner"),
        ("[1]", "answered no JSON line of the runner"),
        ('{"event": "report", "samples_ms": "x"}', "sent an incomplete report"),
        ('{"event": "report", "samples_ms": [null]}', "sent an incomplete report"),
    ],
)
def test_garbage_from_a_child_is_a_failure_that_may_be_retried(execute, wrong_python, line, message):
    outcome = execute(add_model(), installed=wrong_python(f"read job; echo '{line}'"))
    assert isinstance(outcome, Failed)
    assert outcome.retryable
    assert message in outcome.message


def test_a_flood_of_log_lines_is_kept_to_its_end(execute, wrong_python):
    script = f"{STARTED}; yes noise | head -c 5000000 >&2; echo the last words >&2; kill -SEGV $$"
    outcome = execute(add_model(), installed=wrong_python(script))
    assert isinstance(outcome, Infeasible)
    assert outcome.message.endswith("the last words")
    assert len(outcome.message) < 20_000


def test_the_whole_process_group_is_gone_after_a_timeout(execute, wrong_python, tmp_path):
    pids = tmp_path / "pids"
    installed = wrong_python(f"sleep 1000 & echo $! >> {pids}; echo $$ >> {pids}; wait")
    execute(add_model(), settings=replace(SETTINGS, timeout_seconds=1), installed=installed)
    for pid in map(int, pids.read_text().split()):
        assert not _runs(pid)


PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
child.stdin.write(sys.argv[2] + chr(10))
child.stdin.flush()
assert "started" in child.stdout.readline()
assert "loaded" in child.stdout.readline()
print(child.pid, flush=True)
child.wait()
"""


def test_a_running_model_dies_with_a_worker_that_is_killed(tmp_path):
    model = tmp_path / "model.tflite"
    model.write_bytes(add_model(SLOW))
    endless = MeasurementSettings(min_invocations=100_000, max_invocations=100_000, timeout_seconds=600)
    job = {"family": "tflite", "model_path": str(model), "threads": 1, "delegate": "none", **vars(endless)}
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(RUNNER), json.dumps(job)], stdout=subprocess.PIPE, text=True
    )
    runner = os.pidfd_open(int(parent.stdout.readline()))
    parent.kill()
    parent.communicate()
    assert select.select([runner], [], [], 30)[0] == [runner]
    os.close(runner)


def _runs(pid: int) -> bool:
    """Whether the process exists and is more than an exit status that nobody has fetched yet."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


def test_the_runner_keeps_to_the_syntax_of_python_3_7():
    ast.parse(RUNNER.read_text(), feature_version=(3, 7))


def test_inputs_are_the_same_pixels_each_time():
    # The runner's folder must not be searched: it holds a types.py. Hence a module loaded by its path.
    script = f"""
import importlib.util, json, numpy as np
spec = importlib.util.spec_from_file_location("runner", {str(RUNNER)!r})
runner = importlib.util.module_from_spec(spec); spec.loader.exec_module(runner)
class Interpreter:
    def get_input_details(self):
        return [dict(index=i, name=t, shape=np.array([1, 50, 40, 3]), dtype=np.dtype(t).type)
                for i, t in enumerate(["float32", "float16", "uint8", "int8", "int32", "bool"])]
    def set_tensor(self, index, values): found.append(values)
found = []; runner._fill_inputs(Interpreter()); first = found
found = []; runner._fill_inputs(Interpreter())
assert all((a == b).all() for a, b in zip(first, found))
print(json.dumps([[v.dtype.name, list(v.shape), float(v.min()), float(v.max())] for v in found]))
"""
    output = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    ranges = {
        "float32": (0, 255),
        "float16": (0, 255),
        "uint8": (0, 255),
        "int8": (-128, 127),
        "int32": (0, 255),
    }
    found = {dtype: (low, high) for dtype, _, low, high in json.loads(output)}
    assert found.pop("bool") == (0, 1)
    for dtype, (low, high) in found.items():
        assert low - 0.01 <= found[dtype][0] < low + 1
        assert high - 1 < found[dtype][1] <= high + 0.01 or dtype not in ranges


def test_this_pythons_runtime_is_found_without_being_named(own_runtime):
    assert asyncio.run(find_runtimes({})) == (own_runtime,)
    assert own_runtime.runtime == Runtime("tflite-2.14.0", "2.14.0", ("none", "xnnpack"))


def test_a_python_that_offers_another_version_than_named_is_refused():
    with pytest.raises(RuntimeProblem, match=r"runtime tflite-2\.5\.0: .* offers tflite-2\.14\.0 instead"):
        asyncio.run(find_runtimes({"tflite-2.5.0": sys.executable}))


def test_another_family_of_the_same_python_can_be_named():
    found = asyncio.run(find_runtimes({"litert-2.3.0": sys.executable}))
    assert [entry.runtime.name for entry in found] == ["tflite-2.14.0", "litert-2.3.0"]


@pytest.mark.parametrize(
    ("python", "message"),
    [("/no/such/python", "cannot start /no/such/python: No such file"), ("/bin/true", "it said: nothing")],
)
def test_something_that_is_no_python_is_refused(python, message):
    with pytest.raises(RuntimeProblem, match=message):
        asyncio.run(probe_runtime("tflite", python))


def test_a_name_without_family_and_version_is_refused():
    with pytest.raises(RuntimeProblem, match="a runtime is named tflite-VERSION or litert-VERSION"):
        asyncio.run(find_runtimes({"fast": sys.executable}))


@pytest.mark.tflite25
def test_tflite_2_5_runs_a_file_in_its_own_python_without_xnnpack(execute):
    python = os.environ["DEPTH_SWEEP_TFLITE25_PYTHON"]
    installed = asyncio.run(probe_runtime("tflite", python))
    assert installed.runtime == Runtime("tflite-2.5.0", "2.5.0", ("none",))
    report = execute(add_model(), Target(delegate="none"), installed=installed)
    assert isinstance(report, RunReport), report
    assert (report.runtime, report.runtime_version) == ("tflite-2.5.0", "2.5.0")
    assert report.evidence["delegate_partitions"] == 0
    assert str(report.evidence["runner_python"]).startswith("3.8.")
    refused = execute(add_model(custom_operator="NoSuchOp"), Target(delegate="none"), installed=installed)
    assert isinstance(refused, Infeasible)
    assert "unresolved custom op: NoSuchOp" in refused.message
