"""The TFLite interpreters that a worker offers: found by running a file under each Python."""

import asyncio
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from device_farm.types import DELEGATES, Delegate, Runtime
from device_farm.worker.children import RunnerProblem, RunnerProcess, StepFailed, start_runner

FAMILIES = ("tflite", "litert")
PROBE_TIMEOUT_S = 120.0  # a full TensorFlow takes long to import on a slow card
PROBE_INVOCATIONS = 20
PROBE_WARMUP_SECONDS = 0.1
REFERENCE_WARMUP_INVOCATIONS = 2
REFERENCE_SLOT = "reference"


class RuntimeProblem(Exception):
    """A Python does not offer the runtime that it was named for."""


@dataclass(frozen=True)
class InstalledRuntime:
    """A runtime, the Python that it lives in, and the reference model's times under each of its delegates."""

    runtime: Runtime
    family: str
    python: str
    references_ms: Mapping[Delegate, tuple[float, ...]] = field(default_factory=dict, compare=False)


def runtime_family(name: str) -> str:
    """The family of a runtime's name, ``tflite`` for ``tflite-2.5.0``. Raises RuntimeProblem for no such."""
    family, dash, version = name.partition("-")
    if family not in FAMILIES or not dash or not version:
        allowed = " or ".join(f"{family}-VERSION" for family in FAMILIES)
        raise RuntimeProblem(f"runtime {name!r}: a runtime is named {allowed}, such as tflite-2.14.0")
    return family


async def find_runtimes(named: Mapping[str, str], reference: Path) -> tuple[InstalledRuntime, ...]:
    """This Python's own runtime first, where it has one, then the ``named`` ones (name -> Python).

    Raises:
        RuntimeProblem: a named Python lacks the runtime, or there is none at all; says what to do.
    """
    found: list[InstalledRuntime] = []
    try:
        found.append(await probe_runtime("tflite", sys.executable, reference))
    except RuntimeProblem:
        if not named:
            raise RuntimeProblem(
                f"no TFLite interpreter works in {sys.executable}: install one with "
                "pip install 'depth-sweep[worker]', or name another Python with --runtime NAME=PYTHON"
            ) from None
    for name, python in named.items():
        installed = await probe_runtime(runtime_family(name), python, reference)
        if installed.runtime.name != name:
            raise RuntimeProblem(f"runtime {name}: {python} offers {installed.runtime.name} instead")
        if name not in (known.runtime.name for known in found):
            found.append(installed)
    return tuple(found)


async def probe_runtime(family: str, python: str, reference: Path) -> InstalledRuntime:
    """Starts the runner under ``python`` and runs the reference model with each delegate.

    Raises:
        RuntimeProblem: it has no interpreter of the family that works, or is no Python; with what it said.
    """
    try:
        async with start_runner(python, family) as runner:
            try:
                async with asyncio.timeout(PROBE_TIMEOUT_S):
                    version, references_ms = await _probe(runner, reference)
            except TimeoutError:
                raise RuntimeProblem(f"{python} did not answer within {PROBE_TIMEOUT_S:.0f} s") from None
            except StepFailed as problem:
                raise RuntimeProblem(f"{python}: {problem}") from None
            except RunnerProblem as problem:
                said = (await runner.end()).splitlines()[-1:] or [str(problem)]
                raise RuntimeProblem(f"{python} does not run the benchmark script: {said[0]}") from None
    except OSError as error:
        raise RuntimeProblem(f"cannot start {python}: {error.strerror or error}") from None
    runtime = Runtime(f"{family}-{version}", version, tuple(references_ms))
    return InstalledRuntime(runtime, family, python, references_ms)


async def _probe(runner: RunnerProcess, reference: Path) -> tuple[str, dict[Delegate, tuple[float, ...]]]:
    """The runtime's version, and the reference model's times by each delegate that it really applies."""
    version = (await runner.started()).version
    references_ms: dict[Delegate, tuple[float, ...]] = {}
    for delegate in DELEGATES:
        loaded = await runner.load(REFERENCE_SLOT, reference, 1, delegate)
        if bool(loaded.delegate_partitions) == (delegate != "none"):
            await _warm_up(runner)
            references_ms[delegate] = await reference_times(runner, PROBE_INVOCATIONS)
    return version, references_ms


async def _warm_up(runner: RunnerProcess) -> None:
    """Keeps the processor busy until it has its full clock."""
    began = time.monotonic()
    while time.monotonic() - began < PROBE_WARMUP_SECONDS:
        await runner.invoke(REFERENCE_SLOT, PROBE_INVOCATIONS)


async def reference_times(runner: RunnerProcess, count: int) -> tuple[float, ...]:
    """CPU times in milliseconds of invocations of the loaded reference model, after a short warm-up.

    CPU times, because they tell how fast the device is, whatever else it does; that it was busy is seen
    elsewhere.
    """
    await runner.invoke(REFERENCE_SLOT, REFERENCE_WARMUP_INVOCATIONS)
    return (await runner.invoke(REFERENCE_SLOT, count)).cpu_ms
