"""Loads TFLite files and times their invocations, as its worker commands it.

A worker starts this script under each runtime's own Python. It stands alone on purpose: Python 3.7 or newer,
numpy and one TFLite interpreter are all it needs, so that one device can offer several runtimes, and a model
that crashes takes down this process only.

``runner.py FAMILY`` (``tflite`` or ``litert``) imports the family's interpreter and says ``started``. Each line
on stdin then is a command, a JSON object such as ``{"command": "invoke", "slot": "model", "count": 10}``: the
name of a method of ``Runner`` and its arguments. Each is answered by one JSON line on stdout, with ``event``
``done``, or ``error`` with the interpreter's message. Whose fault an error is, the worker knows. Everything that
the interpreter prints goes to stderr. The end of stdin, and the worker's death, end the process.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    # Python puts this folder first in its search path, where our types.py would hide the standard one.
    _HERE = os.path.dirname(os.path.abspath(__file__))
    sys.path = [entry for entry in sys.path if os.path.abspath(entry) != _HERE]

import ctypes
import gc
import hashlib
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
INPUT_BYTES = 65521  # a prime, so that rows of an image do not repeat each other


class Runner:
    """The commands. A ``slot`` holds one loaded model under a name of the worker's choice."""

    def __init__(self) -> None:
        self._module: Any = None
        self._slots: dict[str, Any] = {}

    def start(self, family: str) -> dict[str, Any]:
        """Imports the interpreter; tells which one it is and when (CLOCK_MONOTONIC) it was ready."""
        package, self._module = _import_family(family)
        return {
            "package": package,
            "version": _version(package),
            "python": platform.python_version(),
            "at_seconds": time.monotonic(),
        }

    def load(self, slot: str, path: str, threads: int, delegate: str) -> dict[str, Any]:
        """Loads a file in place of what the slot held and fills its inputs."""
        self._slots.pop(slot, None)
        options = {} if delegate == "xnnpack" else self._without_default_delegates()
        began = time.perf_counter()
        interpreter = self._module.Interpreter(model_path=path, num_threads=threads, **options)
        interpreter.allocate_tensors()
        load_ms = 1000 * (time.perf_counter() - began)
        operators = _operators(interpreter)
        _check_is_whole(interpreter, operators)
        _fill_inputs(interpreter)
        self._slots[slot] = interpreter
        return {"load_ms": load_ms, "delegate_partitions": _delegate_partitions(operators)}

    def _without_default_delegates(self) -> dict[str, Any]:
        kinds = getattr(self._module, "OpResolverType", None)
        if kinds is None:
            return {}  # so old that it applies none by itself
        return {"experimental_op_resolver_type": kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES}

    def invoke(self, slot: str, count: int) -> dict[str, Any]:
        """Wall and process CPU times (over all threads) of ``count`` invocations in a row, in milliseconds."""
        invoke = self._slots[slot].invoke
        wall_ms, cpu_ms = [], []
        for _ in range(count):
            cpu = time.process_time()
            wall = time.perf_counter()
            invoke()
            wall = time.perf_counter() - wall
            cpu = time.process_time() - cpu
            wall_ms.append(1000 * wall)
            cpu_ms.append(1000 * cpu)
        return {"wall_ms": wall_ms, "cpu_ms": cpu_ms}

    def digest(self, slot: str) -> dict[str, Any]:
        """SHA-256 over the bytes of all outputs, in the model's order, as the last invocation left them."""
        interpreter, digest = self._slots[slot], hashlib.sha256()
        for details in interpreter.get_output_details():
            digest.update(np.ascontiguousarray(interpreter.get_tensor(details["index"])).data)
        return {"sha256": digest.hexdigest()}

    def limit(self, memory_mb: int, threads: int, seconds: float) -> dict[str, Any]:
        """Bounds this process's time, and its address space to what it has now, plus ``memory_mb``.

        Numpy and the interpreter reserve far more address space than they use, hence the relative bound; each
        thread reserves a stack (8 MiB) and a malloc arena (up to 128 MiB) that the model must not pay for.
        """
        signal.setitimer(signal.ITIMER_REAL, seconds)
        reserved = _memory_mb("VmSize")
        if reserved is not None:
            bound = int((reserved + memory_mb + 64 + 136 * threads) * MIB)
            resource.setrlimit(resource.RLIMIT_AS, (bound, bound))
        return {}

    def memory(self) -> dict[str, Any]:
        """The most memory that this process had resident so far; None where the system does not tell."""
        return {"peak_memory_mb": _memory_mb("VmHWM")}


def _fill_inputs(interpreter: Any) -> None:
    """Gives every input the same pseudo-random pixels each time; zeros would flatter some kernels.

    Bytes of 0 to 255 become the input's type; signed bytes have -128 to 127, truth values the lowest bit. A large
    input repeats them.
    """
    random = np.random.RandomState(INPUT_SEED)  # its stream is frozen for good (NEP 19)
    for details in interpreter.get_input_details():
        shape, dtype = tuple(map(int, details["shape"])), np.dtype(details["dtype"])
        if dtype.kind not in "fiub":
            raise ValueError(
                "input {} has type {}, which has no sample values".format(details["name"], dtype)
            )
        pixels: Any = np.resize(np.frombuffer(random.bytes(INPUT_BYTES), np.uint8), shape)
        if dtype == np.int8:
            pixels = pixels.view(np.int8)
        elif dtype.kind == "b":
            pixels = pixels & 1
        interpreter.set_tensor(details["index"], pixels.astype(dtype))


def _check_is_whole(interpreter: Any, operators: Any) -> None:
    """Refuses a graph with nothing in it: the interpreter reads one from many a truncated file."""
    parts = {
        "inputs": interpreter.get_input_details(),
        "outputs": interpreter.get_output_details(),
        "operators": operators,
    }
    missing = [name for name, found in parts.items() if found is not None and len(found) == 0]
    if missing:
        raise ValueError("the file holds no {}; it may be truncated".format(" and no ".join(missing)))


def _operators(interpreter: Any) -> Any:
    """The graph's operators as a list of dicts; None where the interpreter cannot tell."""
    list_operators = getattr(interpreter, "_get_ops_details", None)
    return None if list_operators is None else list(list_operators())


def _delegate_partitions(operators: Any) -> int | None:
    """How many parts of the graph a delegate took over; None where the interpreter cannot tell."""
    if operators is None:
        return None
    return sum(1 for operator in operators if operator["op_name"] == "DELEGATE")


def _import_family(family: str) -> tuple[str, Any]:
    problems = []
    for package, module in FAMILIES[family]:
        try:
            return package, importlib.import_module(module)
        except ImportError as error:
            problems.append(str(error))
    raise ImportError("no {} interpreter in {}: {}".format(family, sys.executable, "; ".join(problems)))


def _version(package: str) -> str:
    version = getattr(importlib.import_module(package), "__version__", None)
    if version is None:
        metadata = importlib.import_module("importlib.metadata")  # Python 3.8; older TFLites have __version__
        version = metadata.version(package)
    return str(version)


def _memory_mb(key: str) -> float | None:
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            found = [line for line in file if line.startswith(key + ":")]
    except OSError:
        return None
    return int(found[0].split()[1]) / 1024 if found else None


def _bind_to_parent() -> None:
    """Lets this process end with its worker, and be the first to go when memory runs out."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write("1000")
    except OSError:
        pass


def _claim_stdout() -> Callable[[Any], None]:
    """Keeps stdout for answers: what libraries print goes to stderr from here on."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def emit(event: dict[str, Any]) -> None:
        answers.write(json.dumps(event) + "\n")
        answers.flush()

    return emit


def _answer(event: str, step: Callable[..., Any], **arguments: Any) -> dict[str, Any]:
    """What the step returns, as an event; or the error that it ended in."""
    try:
        return dict(step(**arguments), event=event)
    except MemoryError:
        return {"event": "error", "out_of_memory": True, "message": "out of memory"}
    except Exception as error:
        return {"event": "error", "out_of_memory": False, "message": str(error).strip() or repr(error)}


def main(family: str) -> None:
    """Runs as the module's docstring says."""
    emit = _claim_stdout()
    _bind_to_parent()
    gc.disable()  # no pause between invocations; what little garbage there is ends with the process
    runner = Runner()
    emit(_answer("started", runner.start, family=family))
    for line in sys.stdin:
        command = json.loads(line)
        emit(_answer("done", getattr(runner, command.pop("command")), **command))


if __name__ == "__main__":
    main(sys.argv[1])
