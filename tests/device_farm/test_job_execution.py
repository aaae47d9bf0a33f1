"""Jobs in real child processes, under the real interpreter and under Pythons that misbehave."""

import ast
import asyncio
import hashlib
import importlib.util
import json
import os
import select
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from statistics import median

import farm_models
import flatbuffers
import numpy as np
import pytest
import tflite
from farm_models import add_model

from device_farm.jobs import Failed, Infeasible, Job, RunReport
from device_farm.measuring.statistics import assess
from device_farm.types import MeasurementSettings, Runtime, Target
from device_farm.worker.children import RUNNER, RunnerDied
from device_farm.worker.execution import Step, explain, out_of_memory_kills, run_job
from device_farm.worker.reference import reference_path
from device_farm.worker.runtimes import InstalledRuntime, RuntimeProblem, find_runtimes, probe_runtime
from device_farm.worker.surroundings import Surroundings

SETTINGS = MeasurementSettings(
    min_invocations=8, max_invocations=12, warmup_seconds=0.1, sampling_seconds=5, memory_limit_mb=256
)
SLOW = (1, 1024, 1024, 8)
CONDITIONS = {
    *("delegate", "delegate_partitions", "load_ms", "output_sha256", "peak_memory_mb", "runner_python"),
    *("runner_start_ms", "runtime_package", "runtime_version", "threads"),
}


def two_graphs() -> bytes:
    """y = x + x, in a file that holds the same graph twice."""
    builder = flatbuffers.Builder(1024)
    code = farm_models._operator_code(builder, None)
    tflite.BufferStart(builder)
    buffer = tflite.BufferEnd(builder)
    tensors = [farm_models._tensor(builder, name, (1, 8)) for name in ("x", "y")]
    graph = farm_models._graph(builder, tensors, farm_models._operator(builder, is_add=True))
    graphs = farm_models._offsets(builder, tflite.ModelStartSubgraphsVector, [graph, graph])
    codes = farm_models._offsets(builder, tflite.ModelStartOperatorCodesVector, [code])
    buffers = farm_models._offsets(builder, tflite.ModelStartBuffersVector, [buffer])
    tflite.ModelStart(builder)
    tflite.ModelAddVersion(builder, 3)
    tflite.ModelAddOperatorCodes(builder, codes)
    tflite.ModelAddSubgraphs(builder, graphs)
    tflite.ModelAddBuffers(builder, buffers)
    builder.Finish(tflite.ModelEnd(builder), b"TFL3")
    return bytes(builder.Output())


@pytest.fixture(scope="session")
def own_runtime() -> InstalledRuntime:
    return asyncio.run(probe_runtime("tflite", sys.executable, reference_path()))


@pytest.fixture
def execute(tmp_path, own_runtime):
    def run(
        model: bytes,
        target=None,
        settings=SETTINGS,
        installed=own_runtime,
        reference=None,
        surroundings=None,
        **changes,
    ):
        path = tmp_path / "model.tflite"

        async def fetch() -> Path:
            path.write_bytes(model)
            return path

        job = Job("j", hashlib.sha256(model).hexdigest(), target or Target(), settings, **changes)
        machine = surroundings or Surroundings()
        return asyncio.run(run_job(job, fetch, installed, reference or reference_path(), machine))

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
    model = add_model()
    report = execute(model, Target(threads=threads, delegate=delegate))
    assert isinstance(report, RunReport), report
    assert (report.threads, report.delegate) == (threads, delegate)
    assert (report.runtime, report.runtime_version) == ("tflite-2.14.0", "2.14.0")
    assert report.model_sha256 == hashlib.sha256(model).hexdigest()
    assert (len(report.samples_ms), len(report.cpu_ms), report.stopped_by) == (12, 12, "max_invocations")
    assert len(report.reference_before_ms) == len(report.reference_after_ms) == 10
    times_ms = (
        *report.samples_ms,
        *report.warmup_ms,
        *report.reference_before_ms,
        *report.reference_after_ms,
    )
    assert all(time_ms > 0 for time_ms in times_ms)
    # The interpreter shows a delegate's part of the graph as an operator: the proof that it is in use.
    assert report.evidence["delegate_partitions"] == (1 if delegate == "xnnpack" else 0)
    assert report.evidence["threads"] == threads
    assert report.evidence["runner_python"] == ".".join(map(str, sys.version_info[:3]))
    assert report.evidence["peak_memory_mb"] > 10
    surroundings = set(report.evidence) - CONDITIONS
    assert {"governor", "throttled", "temperature_c_max", "other_cpu_cores", "steal_share"} <= surroundings
    assert len(report.evidence) == len(surroundings) + len(CONDITIONS)


def pixels(shape, inputs_before: int = 0) -> np.ndarray:
    """What the runner feeds, said anew: bytes of a frozen stream, 65,521 of them again and again."""
    stream = np.random.RandomState(20220823)
    periods = [stream.bytes(65521) for _ in range(inputs_before + 1)]
    period = np.frombuffer(periods[-1], np.uint8)
    count = int(np.prod(shape))
    return np.tile(period, count // 65521 + 1)[:count].reshape(shape)


@pytest.mark.parametrize("delegate", ["xnnpack", "none"])
def test_the_outputs_hash_is_that_of_the_model_computed_elsewhere(execute, delegate):
    shape = (1, 8, 8, 4)
    report = execute(add_model(shape), Target(delegate=delegate))
    expected = 2 * pixels(shape).astype(np.float32)
    assert report.evidence["output_sha256"] == hashlib.sha256(expected.tobytes()).hexdigest()


def test_sampling_stops_when_its_time_is_spent_but_not_before_the_fewest_samples(execute):
    report = execute(add_model(), settings=replace(SETTINGS, sampling_seconds=0, max_invocations=100))
    assert (len(report.samples_ms), report.stopped_by) == (8, "sampling_seconds")


# A runner whose invocations take 10 ms and 3 % of independent noise, by its own account.
STEADY_RUNNER = """
import json, random, sys
random.seed(1)
started = {"event": "started", "package": "p", "version": "1.0", "python": "3", "at_seconds": 1e9}
print(json.dumps(started), flush=True)
for line in sys.stdin:
    count = json.loads(line).get("count", 0)
    times = [10 * random.lognormvariate(0, 0.03) for _ in range(count)]
    answer = {"event": "done", "load_ms": 1, "delegate_partitions": 1, "sha256": "ab", "peak_memory_mb": 1}
    print(json.dumps({**answer, "wall_ms": times, "cpu_ms": times}), flush=True)
"""


def test_sampling_stops_when_the_interval_is_as_narrow_as_wanted(execute, wrong_python, tmp_path):
    (tmp_path / "steady.py").write_text(STEADY_RUNNER)
    installed = wrong_python(f"exec {sys.executable} {tmp_path / 'steady.py'}")
    narrow = replace(SETTINGS, interval_width=0.01, max_invocations=10_000, sampling_seconds=60)
    report = execute(add_model(), settings=narrow, installed=installed)
    assert report.stopped_by == "interval"
    assert 100 < len(report.samples_ms) < 1000  # 3 % of noise needs about 300
    assessment = assess(report.samples_ms, 0.01)
    assert assessment.stable
    low, high = assessment.interval_ms
    assert high - low <= 0.01 * assessment.median_ms


def test_without_time_to_warm_up_there_is_one_invocation_of_it(execute):
    assert len(execute(add_model(), settings=replace(SETTINGS, warmup_seconds=0)).warmup_ms) == 1


def test_what_the_machine_does_between_the_blocks_is_evidence(execute, tmp_path):
    zone = tmp_path / "sys/class/thermal/thermal_zone0"
    clock = tmp_path / "sys/devices/system/cpu/cpu0/cpufreq"
    for path, text in {
        zone / "type": "cpu-thermal",
        zone / "temp": "51000",
        clock / "scaling_cur_freq": "1500000",
        clock / "scaling_governor": "performance",
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    report = execute(add_model(), surroundings=Surroundings(tmp_path, cpus={0}))
    assert report.evidence["temperature_c_before"] == report.evidence["temperature_c_after"] == 51
    assert report.evidence["governor"] == "performance"
    trace = report.evidence["frequency_trace_mhz"]
    assert len(trace) > 2  # before, after, and between
    assert set(trace) == {1500.0}


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
    endless = replace(
        SETTINGS, min_invocations=100_000, max_invocations=100_000, sampling_seconds=0, timeout_seconds=2.5
    )
    outcome = execute(add_model(SLOW), settings=endless)
    assert outcome == Infeasible("timed out: the model could not be measured within 2.5 s")


def test_the_time_to_bring_the_model_is_not_the_models_time(tmp_path, own_runtime):
    model = tmp_path / "model.tflite"
    model.write_bytes(add_model())
    job = Job("j", "0" * 64, settings=replace(SETTINGS, timeout_seconds=2))

    async def fetch() -> Path:
        await asyncio.sleep(2.1)  # a slow network
        return model

    outcome = asyncio.run(run_job(job, fetch, own_runtime, reference_path(), Surroundings()))
    assert isinstance(outcome, RunReport)


def test_a_delegate_that_the_runtime_lacks_is_refused_not_replaced(execute, own_runtime):
    bare = replace(own_runtime, runtime=replace(own_runtime.runtime, delegates=("none",)))
    outcome = execute(add_model(), Target(delegate="xnnpack"), installed=bare)
    assert outcome == Failed("tflite-2.14.0 does not offer delegate xnnpack", retryable=False)


def test_a_reference_model_that_cannot_run_blames_no_job(execute, tmp_path):
    damaged = tmp_path / "reference.tflite"
    damaged.write_bytes(add_model(custom_operator="NoSuchOp"))
    outcome = execute(add_model(), reference=damaged)
    assert isinstance(outcome, Failed)
    assert outcome.message.startswith("the reference model did not run: Encountered unresolved custom op")


def test_the_reference_model_does_not_eat_the_models_memory(execute, tmp_path):
    large = tmp_path / "reference.tflite"
    large.write_bytes(add_model((1, 1024, 1024, 8)))  # two tensors of 32 MiB
    tight = replace(SETTINGS, memory_limit_mb=1)
    assert isinstance(execute(add_model(), settings=tight, reference=large), RunReport)


PROFILED = replace(SETTINGS, min_invocations=50, max_invocations=100)


def test_the_time_per_operator_comes_with_the_report_where_it_is_asked_for(execute):
    report = execute(reference_path().read_bytes(), settings=PROFILED, profile_operators=True)
    found = report.operators
    assert [operator.index for operator in found] == list(range(7))
    residual_block = ["DEPTHWISE_CONV_2D", "CONV_2D", "ADD"]
    assert [operator.name for operator in found] == ["CONV_2D", *residual_block, *residual_block]
    assert [operator.output for operator in found] == [f"layer_{number}" for number in range(7)]
    # A full convolution has 32 times a depthwise one's multiplications; together they are the whole.
    assert min(found[2].time_ms, found[5].time_ms) > max(found[3].time_ms, found[6].time_ms) >= 0
    whole_ms = sum(operator.time_ms for operator in found)
    assert 0.2 < whole_ms / median(report.samples_ms) < 5
    assert "operators_unknown" not in report.evidence


def test_a_file_that_cannot_be_cut_is_measured_all_the_same(execute):
    report = execute(two_graphs(), profile_operators=True)
    assert isinstance(report, RunReport)
    assert report.operators == ()
    assert report.evidence["operators_unknown"] == "the file has 2 subgraphs; only one can be cut"


# What a child says until its model is at work, by a shell that answers whatever it is asked.
STARTED = (
    """echo '{"event": "started", "version": "1.0", "package": "p", "python": "3", "at_seconds": 1e9}'"""
)
DONE = """read command; echo '{"event": "done"}'"""
LOADED = """read command; echo '{"event": "done", "load_ms": 1, "delegate_partitions": 1}'"""


def block(count: int, wall_ms: str = "1", cpu_ms: str = "1") -> str:
    wall, cpu = (", ".join([value] * count) for value in (wall_ms, cpu_ms))
    return f"""read command; echo '{{"event": "done", "wall_ms": [{wall}], "cpu_ms": [{cpu}]}}'"""


REFERENCE = f"{STARTED}\n{LOADED}\n{block(1)}\n{DONE}"
MODEL_LOADED = f"{REFERENCE}\n{LOADED}"
BAD_FILE = "bad file, or one beyond the memory limit of 256 MB: "


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (
            "exit 3",
            Failed("the runtime did not start: the interpreter ended without an answer (exit status 3)"),
        ),
        ("kill -SEGV $$", Failed("the runtime did not start: the interpreter died of SIGSEGV")),
        (
            f"{STARTED}; echo oh >&2; kill -ABRT $$",
            Failed("the reference model did not run: the interpreter died of SIGABRT; its log:\noh"),
        ),
        (
            f"{REFERENCE}; read command; echo assertion failed >&2; kill -ABRT $$",
            Infeasible(f"{BAD_FILE}the interpreter died of SIGABRT; its log:\nassertion failed"),
        ),
        (
            f"{MODEL_LOADED}; read command; kill -SEGV $$",
            Infeasible(f"{BAD_FILE}the interpreter died of SIGSEGV"),
        ),
        (
            f"{MODEL_LOADED}; read command; exit 3",
            Infeasible(f"{BAD_FILE}the interpreter ended without an answer (exit status 3)"),
        ),
        (f"{MODEL_LOADED}; read command; kill -TERM $$", Failed("the interpreter died of SIGTERM")),
        ("sleep 1000 & sleep 1000", Failed("the runtime did not start within 2 s")),
        (f"{STARTED}; sleep 1000", Failed("the reference model did not run within 2 s")),
        (
            f"{REFERENCE}; read command; sleep 1000",
            Infeasible("timed out: the model could not be loaded within 2 s"),
        ),
    ],
)
def test_however_a_child_ends_there_is_one_outcome(execute, wrong_python, script, expected):
    settings = replace(SETTINGS, timeout_seconds=2)
    assert execute(add_model(), settings=settings, installed=wrong_python(script)) == expected


@pytest.mark.parametrize(
    ("step", "starved", "expected"),
    [
        (
            Step.MEASURE,
            True,
            Infeasible("out of memory: needs more than the device has, under a memory limit of 1024 MB"),
        ),
        (Step.MEASURE, False, Failed("the interpreter died of SIGKILL; its log:\noh")),
        (
            Step.START,
            True,
            Failed("the runtime did not start: the interpreter died of SIGKILL; its log:\noh"),
        ),
    ],
)
def test_only_a_kernel_short_of_memory_makes_a_killed_child_the_models_fault(step, starved, expected):
    assert explain(RunnerDied(-signal.SIGKILL), Job("j", "0" * 64), step, "oh", starved) == expected


def test_the_kernel_counts_what_it_kills_for_want_of_memory(tmp_path):
    assert out_of_memory_kills(tmp_path) is None
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/vmstat").write_text("oom_kill_something 3\nnr_free_pages 5\n")
    assert out_of_memory_kills(tmp_path) is None
    (tmp_path / "proc/vmstat").write_text("nr_free_pages 5\noom_kill 7\n")
    assert out_of_memory_kills(tmp_path) == 7


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo hello", "Expecting value: line 1 column 1 (char 0): hello"),
        ("echo '[1]'", "[1]"),
        ("""echo '{"event": "started", "version": 7}'""", "package is null"),
        (f"{STARTED}; {DONE}", "load_ms holds null"),
        (f"{STARTED}; {LOADED}; {block(3)}", "wall_ms is [1, 1, 1], wanted 1 times"),
        (f"{STARTED}; {LOADED}; {block(1, wall_ms='NaN')}", "wall_ms holds NaN"),
        (f"{MODEL_LOADED}; {block(1, wall_ms='-1')}", "wall_ms holds -1"),
        (f"{MODEL_LOADED}; {block(1, wall_ms='0')}", "wall_ms holds 0"),
        (f"{MODEL_LOADED}; {block(1, wall_ms='true')}", "wall_ms holds true"),
        (f"{MODEL_LOADED}; {block(1, cpu_ms='Infinity')}", "cpu_ms holds Infinity"),
        (f"{MODEL_LOADED}; {DONE}", "wall_ms is null, wanted 1 times"),
    ],
)
def test_garbage_from_a_child_is_a_failure_that_may_be_retried(execute, wrong_python, script, message):
    # "cat" keeps the child alive until it is told to end, so that what it said is what counts.
    outcome = execute(add_model(), Target(delegate="xnnpack"), installed=wrong_python(f"{script}; cat"))
    assert outcome == Failed(f"the runner gave no answer that makes sense: {message}")


def test_a_flood_of_log_lines_is_kept_to_its_end(execute, wrong_python):
    script = (
        f"{REFERENCE}; read command; yes noise | head -c 5000000 >&2; echo the last words >&2; kill -SEGV $$"
    )
    outcome = execute(add_model(), installed=wrong_python(script))
    assert isinstance(outcome, Infeasible)
    assert outcome.message.endswith("the last words")
    assert len(outcome.message) < 20_000


def test_the_whole_process_group_is_gone_after_a_timeout(execute, wrong_python, tmp_path):
    pids = tmp_path / "pids"
    installed = wrong_python(f"sleep 1000 & echo $! >> {pids}; echo $$ >> {pids}; wait")
    execute(add_model(), settings=replace(SETTINGS, timeout_seconds=1), installed=installed)
    for pid in map(int, pids.read_text().split()):
        _wait_for_end(pid)  # the signal is sent by now, and the kernel takes its time


COMMANDS = """
{"command": "load", "slot": "model", "path": "MODEL", "threads": 1, "delegate": "none"}
{"command": "invoke", "slot": "model", "count": 1}
{"command": "invoke", "slot": "model", "count": 1000000}
"""
PARENT = """
import subprocess, sys
child = subprocess.Popen(
    [sys.executable, sys.argv[1], "tflite"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
)
child.stdin.write(sys.argv[2])
child.stdin.flush()
for event in ("started", "done", "done"):
    assert event in child.stdout.readline()
print(child.pid, flush=True)
child.wait()
"""


def test_a_running_model_dies_with_a_worker_that_is_killed(tmp_path):
    model = tmp_path / "model.tflite"
    model.write_bytes(add_model(SLOW))
    commands = COMMANDS.strip().replace("MODEL", str(model)) + "\n"
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(RUNNER), commands], stdout=subprocess.PIPE, text=True
    )
    runner = os.pidfd_open(int(parent.stdout.readline()))
    parent.kill()
    parent.communicate()
    assert select.select([runner], [], [], 30)[0] == [runner]
    os.close(runner)


def test_a_runner_ends_with_its_stdin():
    ending = subprocess.run(
        [sys.executable, str(RUNNER), "tflite"], input=b"", capture_output=True, timeout=60, check=True
    )
    assert json.loads(ending.stdout)["event"] == "started"


def _wait_for_end(pid: int) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([descriptor], [], [], 30)[0], f"process {pid} lives"
    finally:
        os.close(descriptor)


def test_the_runner_keeps_to_the_syntax_of_python_3_7():
    ast.parse(RUNNER.read_text(), feature_version=(3, 7))


class Inputs:
    """An interpreter, as far as its inputs go; their indexes are their types."""

    def __init__(self, *types):
        self.types, self.values = types, {}

    def get_input_details(self):
        return [{"index": kind, "name": "x", "shape": np.array(FRAME), "dtype": kind} for kind in self.types]

    def set_tensor(self, index, values):
        self.values[index] = values


FRAME = (1, 50, 40, 3)


@pytest.fixture
def fill_inputs():
    # The runner's folder must not be searched: it holds a types.py. Hence a module loaded by its path.
    spec = importlib.util.spec_from_file_location("runner", RUNNER)
    runner = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(runner)
    return runner._fill_inputs


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        *((kind, pixels(FRAME)) for kind in (np.float32, np.float16, np.uint8, np.int32)),
        (np.int8, pixels(FRAME).astype(np.int16) - 256 * (pixels(FRAME) > 127)),
        (np.bool_, pixels(FRAME) % 2 == 1),
    ],
)
def test_inputs_are_the_same_pixels_each_time(fill_inputs, kind, expected):
    inputs = Inputs(kind)
    fill_inputs(inputs)
    assert inputs.values[kind].dtype == kind
    np.testing.assert_array_equal(inputs.values[kind], expected)


def test_each_of_several_inputs_gets_pixels_of_its_own(fill_inputs):
    inputs = Inputs(np.float32, np.uint8)
    fill_inputs(inputs)
    first, second = pixels(FRAME), pixels(FRAME, inputs_before=1)
    np.testing.assert_array_equal(inputs.values[np.float32], first)
    np.testing.assert_array_equal(inputs.values[np.uint8], second)


@pytest.mark.parametrize("kind", [np.complex64, np.bytes_])
def test_an_input_of_a_type_without_sample_values_is_named(fill_inputs, kind):
    with pytest.raises(ValueError, match=r"input x has type .*, which has no sample values"):
        fill_inputs(Inputs(kind))


def test_this_pythons_runtime_is_found_without_being_named(own_runtime):
    assert asyncio.run(find_runtimes({}, reference_path())) == (own_runtime,)
    assert own_runtime.runtime == Runtime("tflite-2.14.0", "2.14.0", ("none", "xnnpack"))


def test_a_python_that_offers_another_version_than_named_is_refused():
    with pytest.raises(RuntimeProblem, match=r"runtime tflite-2\.5\.0: .* offers tflite-2\.14\.0 instead"):
        asyncio.run(find_runtimes({"tflite-2.5.0": sys.executable}, reference_path()))


def test_another_family_of_the_same_python_can_be_named():
    found = asyncio.run(find_runtimes({"litert-2.3.0": sys.executable}, reference_path()))
    assert [entry.runtime.name for entry in found] == ["tflite-2.14.0", "litert-2.3.0"]


@pytest.mark.parametrize(
    ("python", "message"),
    [
        ("/no/such/python", "cannot start /no/such/python: No such file"),
        ("/bin/true", "ended without an answer \\(exit status 0\\)"),
    ],
)
def test_something_that_is_no_python_is_refused(python, message):
    with pytest.raises(RuntimeProblem, match=message):
        asyncio.run(probe_runtime("tflite", python, reference_path()))


def test_a_name_without_family_and_version_is_refused():
    with pytest.raises(RuntimeProblem, match="a runtime is named tflite-VERSION or litert-VERSION"):
        asyncio.run(find_runtimes({"fast": sys.executable}, reference_path()))


@pytest.mark.tflite25
def test_tflite_2_5_runs_a_file_in_its_own_python_without_xnnpack(execute):
    python = os.environ["DEPTH_SWEEP_TFLITE25_PYTHON"]
    installed = asyncio.run(probe_runtime("tflite", python, reference_path()))
    assert installed.runtime == Runtime("tflite-2.5.0", "2.5.0", ("none",))
    report = execute(add_model(), Target(delegate="none"), installed=installed)
    assert isinstance(report, RunReport), report
    assert (report.runtime, report.runtime_version) == ("tflite-2.5.0", "2.5.0")
    assert report.evidence["delegate_partitions"] == 0
    assert str(report.evidence["runner_python"]).startswith("3.8.")
    refused = execute(add_model(custom_operator="NoSuchOp"), Target(delegate="none"), installed=installed)
    assert isinstance(refused, Infeasible)
    assert "unresolved custom op: NoSuchOp" in refused.message
