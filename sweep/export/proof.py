"""Whether runtimes really run a file: it is run on those at hand."""

import asyncio
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from device_farm.client import FarmClient
from device_farm.jobs import DEVICE_ID
from device_farm.model_files.model_check import RefusedModel, check_model
from device_farm.types import (
    DELEGATES,
    Delegate,
    Device,
    InfeasibleModel,
    MeasurementFailed,
    MeasurementSettings,
    NoSuchDevice,
    Target,
)
from device_farm.worker.children import RunnerProblem, RunnerProcess, start_runner

INVOCATIONS = 6
"""A file may load, and fail or answer otherwise only at a later invocation."""

EFFORT = MeasurementSettings(
    interval_width=1.0,
    min_invocations=INVOCATIONS,
    max_invocations=INVOCATIONS,
    warmup_seconds=0.0,
    sampling_seconds=0.0,
)
"""The least that a measurement job does: its latency is not wanted."""

PATIENCE = 4
"""Jobs that may fail for reasons outside the file, such as a busy device."""

TIMEOUT_S = 300.0
SLOT = "model"

Outcome = Literal["ran", "refused", "unknown"]


@dataclass(frozen=True)
class Proof:
    """What became of a file on one runtime with one delegate.

    Attributes:
        runtime: its name, such as "tflite-2.14.0".
        device: the farm's name for the device that it is on; empty: this machine, without a farm.
        outcome: "unknown" where something other than the file went wrong.
        words: why it did not run, in the runtime's words; empty if it ran.
    """

    runtime: str
    delegate: Delegate
    device: str
    outcome: Outcome
    words: str = ""


def prove(model: Path, client: FarmClient) -> tuple[Proof, ...]:
    """Run the file on each runtime that the farm's devices offer, with each of its delegates, once.

    Raises:
        FarmUnavailable: no coordinator answers.
        OSError: the file cannot be read.
    """
    places = distinct_runtimes(client.devices())
    return tuple(_run_on(model, client, device, *place) for place, device in places.items())


def distinct_runtimes(devices: Iterable[Device]) -> dict[tuple[str, Delegate], Device]:
    """From each runtime and delegate that is offered to a device that has it, an idle one where there is one.

    Devices that take no jobs do not count.
    """
    found: dict[tuple[str, Delegate], Device] = {}
    taking = [device for device in devices if device.state != "offline" and device.standing == "active"]
    for device in sorted(taking, key=lambda device: device.state != "idle"):
        for runtime in device.runtimes:
            for delegate in runtime.delegates:
                found.setdefault((runtime.name, delegate), device)
    return dict(sorted(found.items()))


def prove_here(model: Path) -> tuple[Proof, ...]:
    """Run the file under this Python's tflite-runtime, with each delegate, in child processes.

    The outputs must be the same bytes each time. Raises OSError if the file cannot be read.
    """
    try:
        check_model(model.read_bytes())
    except RefusedModel as refusal:
        return (Proof("tflite", "none", "", "refused", str(refusal)),)
    return tuple(asyncio.run(_run_here(model, delegate)) for delegate in DELEGATES)


def _run_on(model: Path, client: FarmClient, device: Device, runtime: str, delegate: Delegate) -> Proof:
    target = Target({DEVICE_ID: device.device_id}, runtime, threads=1, delegate=delegate)
    words = ""
    for _ in range(PATIENCE):
        try:
            client.measure(model, target, EFFORT, TIMEOUT_S)
            return Proof(runtime, delegate, device.name, "ran")
        except InfeasibleModel as refusal:
            return Proof(runtime, delegate, device.name, "refused", str(refusal))
        except NoSuchDevice as gone:
            return Proof(runtime, delegate, device.name, "unknown", str(gone))
        except MeasurementFailed as failure:
            words = str(failure)
    return Proof(runtime, delegate, device.name, "unknown", words)


async def _run_here(model: Path, delegate: Delegate) -> Proof:
    runtime = "tflite"
    async with start_runner(sys.executable, "tflite") as runner:
        try:
            runtime = f"tflite-{(await runner.started()).version}"
        except RunnerProblem as problem:
            return Proof(runtime, delegate, "", "unknown", str(problem))
        try:
            async with asyncio.timeout(TIMEOUT_S):
                answers = await _answers(runner, model, delegate)
        except TimeoutError:
            return Proof(runtime, delegate, "", "refused", f"did not end within {TIMEOUT_S:g} s")
        except RunnerProblem as problem:
            return Proof(runtime, delegate, "", "refused", str(problem))
    if len(answers) > 1:
        return Proof(runtime, delegate, "", "refused", "answers differently from one time to the next")
    return Proof(runtime, delegate, "", "ran")


async def _answers(runner: RunnerProcess, model: Path, delegate: Delegate) -> set[str]:
    """Hashes of the outputs of several invocations with the same inputs."""
    await runner.load(SLOT, model, 1, delegate)
    answers = set()
    for _ in range(INVOCATIONS):
        await runner.invoke(SLOT, 1)
        answers.add(await runner.digest(SLOT))
    return answers
