"""The TFLite interpreters that a worker offers: found by asking each Python what it has."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from device_farm.types import DELEGATES, Runtime

RUNNER = Path(__file__).with_name("runner.py")
FAMILIES = ("tflite", "litert")
PROBE_TIMEOUT_S = 120.0  # a full TensorFlow takes long to import on a slow card


class RuntimeProblem(Exception):
    """A Python does not offer the runtime that it was named for."""


@dataclass(frozen=True)
class InstalledRuntime:
    """A runtime and the Python that it lives in."""

    runtime: Runtime
    family: str
    python: str


def runtime_family(name: str) -> str:
    """The family of a runtime's name, ``tflite`` for ``tflite-2.5.0``. Raises RuntimeProblem for no such."""
    family, dash, version = name.partition("-")
    if family not in FAMILIES or not dash or not version:
        allowed = " or ".join(f"{family}-VERSION" for family in FAMILIES)
        raise RuntimeProblem(f"runtime {name!r}: a runtime is named {allowed}, such as tflite-2.14.0")
    return family


async def find_runtimes(named: Mapping[str, str]) -> tuple[InstalledRuntime, ...]:
    """This Python's own runtime first, where it has one, then the ``named`` ones (name -> Python).

    Raises:
        RuntimeProblem: a named Python lacks the runtime, or there is none at all; says what to do.
    """
    found: list[InstalledRuntime] = []
    try:
        found.append(await probe_runtime("tflite", sys.executable))
    except RuntimeProblem:
        if not named:
            raise RuntimeProblem(
                f"no TFLite interpreter works in {sys.executable}: install one with "
                "pip install 'depth-sweep[worker]', or name another Python with --runtime NAME=PYTHON"
            ) from None
    for name, python in named.items():
        installed = await probe_runtime(runtime_family(name), python)
        if installed.runtime.name != name:
            raise RuntimeProblem(f"runtime {name}: {python} offers {installed.runtime.name} instead")
        if name not in (known.runtime.name for known in found):
            found.append(installed)
    return tuple(found)


async def probe_runtime(family: str, python: str) -> InstalledRuntime:
    """Starts the runner under ``python`` and asks which interpreter of the family it has.

    Raises:
        RuntimeProblem: it has none that works, or is no Python; the message carries what it said.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *(python, str(RUNNER), "--probe", family),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=child_environment(python),
        )
    except OSError as error:
        raise RuntimeProblem(f"cannot start {python}: {error.strerror or error}") from None
    try:
        output, log = await asyncio.wait_for(process.communicate(), PROBE_TIMEOUT_S)
    except TimeoutError:
        raise RuntimeProblem(f"{python} did not answer within {PROBE_TIMEOUT_S:.0f} s") from None
    finally:
        if process.returncode is None:
            process.kill()
    try:
        answer = json.loads(output.splitlines()[-1])
        if answer["event"] != "probe":
            raise RuntimeProblem(f"{python}: {answer['message']}")
        delegates = tuple(delegate for delegate in DELEGATES if delegate in answer["delegates"])
        runtime = Runtime(str(answer["name"]), str(answer["version"]), delegates)
    except (IndexError, KeyError, TypeError, ValueError):
        said = log.decode(errors="replace").strip().splitlines()[-1:] or ["nothing"]
        raise RuntimeProblem(f"{python} does not run the benchmark script; it said: {said[0]}") from None
    return InstalledRuntime(runtime, family, python)


def child_environment(python: str) -> dict[str, str]:
    """The environment of a runner; another Python must not search this one's folders."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": ""}
    if python != sys.executable:
        environment.pop("PYTHONPATH", None)
        environment.pop("PYTHONHOME", None)
    return environment
