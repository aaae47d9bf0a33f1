"""Runs one job in a child process and turns whatever happens to it into an outcome."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from device_farm.facts import throttled_bits
from device_farm.jobs import Failed, Infeasible, Job, RunOutcome, RunReport
from device_farm.runtimes import RUNNER, InstalledRuntime, child_environment
from device_farm.types import EvidenceValue

LOG_BYTES = 16 * 1024  # of the interpreter's log, its end
LINE_BYTES = 64 * 1024 * 1024  # a report of the most samples allowed fits with room to spare
# Signals that the model does not cause by itself: somebody, or a kernel short of memory, ended the child.
_OUTSIDE_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL}


async def run_job(job: Job, model: Path, installed: InstalledRuntime) -> RunOutcome:
    """Runs ``model`` as the job asks. Cancelling this kills the child's whole process group first."""
    if job.target.delegate not in installed.runtime.delegates:
        name = installed.runtime.name
        return Failed(f"{name} does not offer delegate {job.target.delegate}", retryable=False)
    child = await _start(installed)
    log = asyncio.create_task(_tail(child.stderr))
    progress = _Progress()
    try:
        async with asyncio.timeout(job.settings.timeout_seconds):
            answer = await _converse(child, job, model, installed, progress)
    except TimeoutError:
        return _timed_out(job, progress)
    except ValueError as error:
        return Failed(f"{installed.python} answered no JSON line of the runner: {error}")
    finally:
        _kill_group(child)
        await child.wait()
        text = (await log).decode(errors="replace").strip()
    if answer is None:
        return _died(child.returncode, job, progress, text)
    return _outcome(answer, job, installed, text)


class _Progress:
    """How far the child came: ``started`` once its interpreter is imported, then ``loaded``."""

    def __init__(self) -> None:
        self.stage = ""


async def _start(installed: InstalledRuntime) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(installed.python, str(RUNNER)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=LINE_BYTES,
        env=child_environment(installed.python),
        start_new_session=True,  # a process group of its own, to be killed as a whole
    )


async def _converse(
    child: asyncio.subprocess.Process,
    job: Job,
    model: Path,
    installed: InstalledRuntime,
    progress: _Progress,
) -> dict[str, Any] | None:
    """Sends the job and reads events up to the last; None if the child ended without one."""
    assert child.stdin is not None
    assert child.stdout is not None
    request = {
        "family": installed.family,
        "model_path": str(model.resolve()),
        "threads": job.target.threads,
        "delegate": job.target.delegate,
        **vars(job.settings),
    }
    with contextlib.suppress(ConnectionError):  # a child that died at once: its end says more
        child.stdin.write(json.dumps(request).encode() + b"\n")
        await child.stdin.drain()
    async for line in child.stdout:
        event = json.loads(line)
        if not isinstance(event, dict):
            raise ValueError(f"found {event!r}")
        if event.get("event") in ("report", "infeasible", "failed"):
            return event
        progress.stage = str(event.get("event"))
    await child.wait()
    return None


def _outcome(answer: dict[str, Any], job: Job, installed: InstalledRuntime, log: str) -> RunOutcome:
    if answer["event"] == "infeasible":
        return Infeasible(str(answer.get("message")))
    if answer["event"] == "failed":
        return Failed(f"{answer.get('message')}{_quoted(log)}")
    try:
        return RunReport(
            model_sha256=job.model_sha256,
            runtime=installed.runtime.name,
            runtime_version=str(answer["runtime_version"]),
            threads=job.target.threads,
            delegate=job.target.delegate,
            samples_ms=tuple(map(float, answer["samples_ms"])),
            warmup_ms=tuple(map(float, answer["warmup_ms"])),
            cpu_ms=tuple(map(float, answer["cpu_ms"])),
            measured_at=float(answer["measured_at"]),
            evidence=_evidence(answer["evidence"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        return Failed(f"{installed.python} sent an incomplete report: {error!r}")


def _evidence(found: Mapping[str, Any]) -> dict[str, EvidenceValue]:
    for key, value in found.items():
        if not isinstance(value, str | float | int | bool | None):
            raise TypeError(f"evidence {key} is {value!r}")
    return {**found, "throttled": throttled_bits()}


def _timed_out(job: Job, progress: _Progress) -> RunOutcome:
    seconds = job.settings.timeout_seconds
    if not progress.stage:
        return Failed(f"the runtime did not start within {seconds:g} s")
    step = "measured" if progress.stage == "loaded" else "loaded"
    return Infeasible(f"timed out: the model could not be {step} within {seconds:g} s")


def _died(returncode: int | None, job: Job, progress: _Progress, log: str) -> RunOutcome:
    if returncode is not None and returncode < 0:
        fault = signal.Signals(-returncode)
        ending = f"the interpreter died of {fault.name}"
        outside = fault in _OUTSIDE_SIGNALS
    else:
        ending, outside = f"the interpreter ended without an answer (exit status {returncode})", False
    if outside or not progress.stage:
        return Failed(f"{ending}{_quoted(log)}")
    return Infeasible(f"{ending} under a memory limit of {job.settings.memory_limit_mb} MB{_quoted(log)}")


def _quoted(log: str) -> str:
    return f"; its log:\n{log}" if log else ""


async def _tail(stream: asyncio.StreamReader | None) -> bytes:
    """Reads a stream to its end and keeps its last bytes."""
    assert stream is not None
    kept = b""
    while chunk := await stream.read(LOG_BYTES):
        kept = (kept + chunk)[-LOG_BYTES:]
    return kept


def _kill_group(child: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
