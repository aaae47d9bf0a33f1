"""Runs one TFLite file and prints what it saw. A worker starts this script under each runtime's own Python.

It stands alone on purpose: Python 3.7 or newer, numpy and one TFLite interpreter are all it needs, so that
one device can offer several runtimes, and a model that crashes takes down this process only.

* ``runner.py --probe FAMILY`` reports the interpreter that this Python has (``tflite`` or ``litert``).
* ``runner.py`` reads one job from stdin, a JSON object on one line, and runs it.

Answers are JSON objects, one a line, on stdout. Their ``event`` is ``probe``, or ``started`` (the
interpreter is imported), ``loaded`` (the model is ready), and last ``report``, ``infeasible`` (the model's
fault) or ``failed`` (anything else's). Everything that the interpreter prints goes to stderr.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    # Python puts this folder first in its search path, where our types.py would hide the standard one.
    _HERE = os.path.dirname(os.path.abspath(__file__))
    sys.path = [entry for entry in sys.path if os.path.abspath(entry) != _HERE]

import base64
import ctypes
import gc
import importlib
import json
import platform
import resource
import signal
import time
from typing import Any, Callable  # noqa: UP035  (Python 3.7)

import numpy as np

# Where each family's Interpreter lives, and the package whose version names the runtime.
FAMILIES = {
    "tflite": (
        ("tflite_runtime", "tflite_runtime.interpreter"),
        ("tensorflow", "tensorflow.lite.python.interpreter"),
    ),
    "litert": (("ai_edge_litert", "ai_edge_litert.interpreter"),),
}
MIB = 1024 * 1024
PR_SET_PDEATHSIG = 1
INPUT_SEED = 20220823

# y = x + x over 1x8x8x4 floats: shows whether an interpreter works and applies XNNPACK by default.
PROBE_MODEL = (
    "GAAAAFRGTDMAAA4AFAAQAAwACAAAAAQADgAAABAAAAAcAAAAEAAAAAMAAAABAAAA8AAAAAEAAADwAAAAAQAAABAAAAAMABQAEAAM"
    "AAgABAAMAAAAIAAAAAwAAAAQAAAAWAAAAAEAAAABAAAAAQAAAAAAAAABAAAAFAAAAAAADgAUAAAAEAAMAAsABAAOAAAAJAAAAAAA"
    "AAsIAAAADAAAAAEAAAABAAAAAgAAAAAAAAAAAAAAkP///wIAAAA8AAAABAAAANj///8IAAAADAAAAAEAAAB5AAAABAAAAAEAAAAI"
    "AAAACAAAAAQAAAAMAAwACAAAAAAABAAMAAAACAAAAAwAAAABAAAAeAAAAAQAAAABAAAACAAAAAgAAAAEAAAA/P///wQABAAEAAAA"
)

Emit = Callable[[Any], None]  # takes one event, a dict; evaluated at run time, hence no dict[...] here


class Problem(Exception):
    """Ends the run; ``event`` says whose fault it is."""

    def __init__(self, event: str, message: str) -> None:
        super().__init__(message)
        self.event = event


class Library:
    """One imported TFLite interpreter."""

    def __init__(self, family: str) -> None:
        self.package, self.module = _import_family(family)
        self.version = _version(self.package)

    def interpreter(self, threads: int, delegate: str, **model: Any) -> Any:
        """An allocated interpreter for ``model_path=`` or ``model_content=``."""
        options = {} if delegate == "xnnpack" else self._without_default_delegates()
        interpreter = self.module.Interpreter(num_threads=threads, **options, **model)
        interpreter.allocate_tensors()
        return interpreter

    def _without_default_delegates(self) -> dict[str, Any]:
        kinds = getattr(self.module, "OpResolverType", None)
        if kinds is None:
            return {}
        return {"experimental_op_resolver_type": kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES}


def probe(family: str) -> dict[str, Any]:
    """Imports the family's interpreter, runs a tiny model with it and tells what it offers."""
    library = Library(family)
    model = base64.b64decode(PROBE_MODEL)
    delegates = []
    for delegate in ("xnnpack", "none"):
        interpreter = library.interpreter(1, delegate, model_content=model)
        _fill_inputs(interpreter)
        interpreter.invoke()
        if bool(_delegate_partitions(interpreter)) == (delegate == "xnnpack"):
            delegates.append(delegate)
    return {
        "event": "probe",
        "name": f"{family}-{library.version}",
        "version": library.version,
        "package": library.package,
        "python": platform.python_version(),
        "delegates": delegates,
    }


def run(job: dict[str, Any], emit: Emit) -> None:
    """Runs the job and emits its events. Raises Problem when there is nothing to report."""
    library = Library(job["family"])
    threads, delegate = job["threads"], job["delegate"]
    _limit_memory(job["memory_limit_mb"], threads)
    emit({"event": "started", "version": library.version})
    began = time.perf_counter()
    interpreter = _blaming_the_model(
        lambda: library.interpreter(threads, delegate, model_path=job["model_path"]), job
    )
    load_ms = 1000 * (time.perf_counter() - began)
    _check_is_whole(interpreter)
    partitions = _delegate_partitions(interpreter)
    if delegate == "none" and partitions:
        raise Problem("failed", "delegate none was asked for, but the interpreter applied one")
    _blaming_the_model(lambda: _fill_inputs(interpreter), job)
    emit({"event": "loaded"})
    before = _surroundings("before")
    measured_at = time.time()
    warmup_ms, samples_ms, cpu_ms = _blaming_the_model(lambda: _sample(interpreter.invoke, job), job)
    evidence = dict(before, **_surroundings("after"))
    evidence.update(
        cpu_wall_ratio=sum(cpu_ms) / sum(samples_ms),
        delegate=delegate,
        delegate_partitions=partitions,
        governor=_read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        load_ms=load_ms,
        peak_memory_mb=_memory_mb("VmHWM"),
        runner_python=platform.python_version(),
        runtime_package=library.package,
        runtime_version=library.version,
        stopped_by="max_invocations" if len(samples_ms) >= job["max_invocations"] else "sampling_seconds",
        threads=threads,
    )
    emit(
        {
            "event": "report",
            "runtime_version": library.version,
            "samples_ms": samples_ms,
            "warmup_ms": warmup_ms,
            "cpu_ms": cpu_ms,
            "measured_at": measured_at,
            "evidence": evidence,
        }
    )


def _sample(invoke: Callable[[], None], job: dict[str, Any]) -> tuple[list[float], list[float], list[float]]:
    """Wall times of the warm-up, then wall and process CPU times of the samples; milliseconds."""
    warmup_ms = [_timed(invoke)[0] for _ in range(job["warmup_invocations"])]
    samples_ms: list[float] = []
    cpu_ms: list[float] = []
    gc.disable()
    began = time.perf_counter()
    while len(samples_ms) < job["max_invocations"]:
        spent = time.perf_counter() - began
        if spent >= job["sampling_seconds"] and len(samples_ms) >= job["min_invocations"]:
            break
        wall, cpu = _timed(invoke)
        samples_ms.append(wall)
        cpu_ms.append(cpu)
    return warmup_ms, samples_ms, cpu_ms


def _timed(invoke: Callable[[], None]) -> tuple[float, float]:
    cpu = time.process_time()
    wall = time.perf_counter()
    invoke()
    wall = time.perf_counter() - wall
    return 1000 * wall, 1000 * (time.process_time() - cpu)


def _fill_inputs(interpreter: Any) -> None:
    """Gives every input the same pseudo-random values each time; zeros would flatter some kernels.

    Floats get 0 to 255, like pixels; integers the part of that range (or of -128 to 127) that they hold.
    """
    random = np.random.RandomState(INPUT_SEED)
    for details in interpreter.get_input_details():
        shape, dtype = tuple(details["shape"]), np.dtype(details["dtype"])
        if dtype.kind == "f":
            values: Any = random.uniform(0, 255, shape)
        elif dtype == np.int8:
            values = random.randint(-128, 128, shape)
        elif dtype.kind in "iu":
            values = random.randint(0, 256, shape)
        elif dtype.kind == "b":
            values = random.randint(0, 2, shape)
        else:
            raise ValueError(
                "input {} has type {}, which has no sample values".format(details["name"], dtype)
            )
        interpreter.set_tensor(details["index"], values.astype(dtype))


def _check_is_whole(interpreter: Any) -> None:
    """Refuses a graph with nothing in it: the interpreter reads one from many a truncated file."""
    parts = {
        "inputs": interpreter.get_input_details(),
        "outputs": interpreter.get_output_details(),
        "operators": _operators(interpreter),
    }
    missing = [name for name, found in parts.items() if found is not None and len(found) == 0]
    if missing:
        raise Problem(
            "infeasible", "the file holds no {}; it may be truncated".format(" and no ".join(missing))
        )


def _operators(interpreter: Any) -> list[dict[str, Any]] | None:
    """The graph's operators; None where the interpreter cannot tell."""
    list_operators = getattr(interpreter, "_get_ops_details", None)
    return None if list_operators is None else list(list_operators())


def _delegate_partitions(interpreter: Any) -> int | None:
    """How many parts of the graph a delegate took over; None where the interpreter cannot tell."""
    operators = _operators(interpreter)
    if operators is None:
        return None
    return sum(1 for operator in operators if operator["op_name"] == "DELEGATE")


def _blaming_the_model(step: Callable[[], Any], job: dict[str, Any]) -> Any:
    """Runs a step that only the model can make fail."""
    try:
        return step()
    except MemoryError:
        limit = job["memory_limit_mb"]
        raise Problem("infeasible", f"out of memory: needs more than {limit} MB") from None
    except Exception as error:
        raise Problem("infeasible", str(error).strip() or repr(error)) from error


def _import_family(family: str) -> tuple[str, Any]:
    problems = []
    for package, module in FAMILIES[family]:
        try:
            return package, importlib.import_module(module)
        except ImportError as error:
            problems.append(str(error))
    raise Problem("failed", "no {} interpreter in {}: {}".format(family, sys.executable, "; ".join(problems)))


def _version(package: str) -> str:
    version = getattr(importlib.import_module(package), "__version__", None)
    if version is None:
        metadata = importlib.import_module("importlib.metadata")  # Python 3.8; older TFLites have __version__
        version = metadata.version(package)
    return str(version)


def _limit_memory(limit_mb: int, threads: int) -> None:
    """Bounds the address space to what the idle interpreter has taken, plus the limit.

    Numpy and the interpreter reserve far more address space than they use, hence the relative bound; each
    thread reserves a stack (8 MiB) and a malloc arena (up to 128 MiB) that the model must not pay for.
    """
    reserved = _memory_mb("VmSize")
    if reserved is None:
        return
    limit = int((reserved + limit_mb + 64 + 136 * threads) * MIB)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _memory_mb(key: str) -> float | None:
    for line in (_read("/proc/self/status") or "").splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) / 1024
    return None


def _surroundings(moment: str) -> dict[str, Any]:
    """Temperature, frequency and load at this moment, None where the system does not tell."""
    temperature = _integer("/sys/class/thermal/thermal_zone0/temp")
    frequency = _integer("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq")
    load = (_read("/proc/loadavg") or "").split()
    return {
        "temperature_c_" + moment: None if temperature is None else temperature / 1000,
        "frequency_mhz_" + moment: None if frequency is None else frequency / 1000,
        "load_average_" + moment: float(load[0]) if load else None,
    }


def _integer(path: str) -> int | None:
    text = _read(path)
    return int(text) if text is not None and text.lstrip("-").isdigit() else None


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return None


def _bind_to_parent(timeout_seconds: float) -> None:
    """Makes sure that this process outlives neither its worker nor its time."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.setitimer(signal.ITIMER_REAL, timeout_seconds + 5)  # the worker is first; this is for its absence
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write("1000")  # when memory runs out, the kernel takes the model rather than the worker
    except OSError:
        pass


def _claim_stdout() -> Emit:
    """Keeps stdout for answers: what libraries print goes to stderr from here on."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def emit(event: dict[str, Any]) -> None:
        answers.write(json.dumps(event) + "\n")
        answers.flush()

    return emit


def main(arguments: list[str]) -> None:
    """Runs as the module's docstring says; every ending is an event."""
    emit = _claim_stdout()
    try:
        if arguments[:1] == ["--probe"]:
            _bind_to_parent(timeout_seconds=120)
            emit(probe(arguments[1]))
        else:
            job = json.loads(sys.stdin.readline())
            _bind_to_parent(job["timeout_seconds"])
            run(job, emit)
    except Problem as problem:
        emit({"event": problem.event, "message": str(problem)})
    except Exception as error:
        emit({"event": "failed", "message": f"{type(error).__name__}: {error}"})


if __name__ == "__main__":
    main(sys.argv[1:])
