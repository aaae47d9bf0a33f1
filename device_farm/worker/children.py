"""The runner as a child process: started under a runtime's Python, asked step by step, killed as a group."""

import asyncio
import contextlib
import json
import math
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RUNNER = Path(__file__).with_name("runner.py")
LOG_BYTES = 16 * 1024  # of the interpreter's log, its end
LINE_BYTES = 64 * 1024 * 1024  # the times of as many invocations as are allowed fit with room to spare
SHOWN_CHARACTERS = 200  # of an answer that makes no sense


class RunnerProblem(Exception):
    """A child did not do a step that it was asked for."""


class StepFailed(RunnerProblem):
    """The child lives and says why the step failed, in the interpreter's words."""

    def __init__(self, message: str, out_of_memory: bool) -> None:
        super().__init__(message)
        self.out_of_memory = out_of_memory


class RunnerDied(RunnerProblem):
    """The child ended; ``returncode`` is its exit status, or a signal's number negated."""

    def __init__(self, returncode: int) -> None:
        ending = f"died of {signal.Signals(-returncode).name}" if returncode < 0 else ""
        super().__init__(f"the interpreter {ending or f'ended without an answer (exit status {returncode})'}")
        self.returncode = returncode


class NoAnswer(RunnerProblem):
    """What the child said is no answer of the runner; the message quotes it."""


@dataclass(frozen=True)
class Started:
    """The interpreter that a child has imported. ``start_ms``: from the process's start until it was ready."""

    package: str
    version: str
    python: str
    start_ms: float


@dataclass(frozen=True)
class Loaded:
    """A loaded file. ``delegate_partitions``: parts of the graph that a delegate took; None: unknown."""

    load_ms: float
    delegate_partitions: int | None


@dataclass(frozen=True)
class Block:
    """Wall and process CPU times of invocations in a row, in milliseconds."""

    wall_ms: tuple[float, ...]
    cpu_ms: tuple[float, ...]


@contextlib.asynccontextmanager
async def start_runner(python: str, family: str) -> AsyncIterator["RunnerProcess"]:
    """A child for the context's time; its whole process group is gone afterwards, whatever happened.

    Raises:
        OSError: there is no such Python.
    """
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *(python, str(RUNNER), family),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=LINE_BYTES,
        env=_environment(python),
        start_new_session=True,  # a process group of its own, to be killed as a whole
    )
    runner = RunnerProcess(process, began)
    try:
        yield runner
    finally:
        await runner.end()


class RunnerProcess:
    """The runner's commands; see ``runner.py``. Every method raises RunnerProblem if its step fails."""

    def __init__(self, process: asyncio.subprocess.Process, began: float) -> None:
        self._process, self._began = process, began
        self._log = asyncio.create_task(_tail(process.stderr))

    @property
    def pid(self) -> int:
        return self._process.pid

    async def started(self) -> Started:
        """Waits for the interpreter's import; to be called once, before anything else."""
        answer = await self._answer("started")
        return Started(
            package=_text(answer, "package"),
            version=_text(answer, "version"),
            python=_text(answer, "python"),
            start_ms=1000 * (_number(answer, "at_seconds") - self._began),
        )

    async def load(self, slot: str, path: Path, threads: int, delegate: str) -> Loaded:
        answer = await self._ask(
            "load", slot=slot, path=str(path.resolve()), threads=threads, delegate=delegate
        )
        partitions = answer.get("delegate_partitions")
        if not (partitions is None or type(partitions) is int):
            raise NoAnswer(f"delegate_partitions is {partitions!r}")
        return Loaded(_number(answer, "load_ms"), partitions)

    async def invoke(self, slot: str, count: int) -> Block:
        answer = await self._ask("invoke", slot=slot, count=count)
        # A short invocation may fall between two ticks of the CPU clock, but not of the wall clock.
        wall_ms, cpu_ms = _times(answer, "wall_ms", count), _times(answer, "cpu_ms", count)
        if 0 in wall_ms:
            raise NoAnswer("wall_ms holds 0")
        return Block(wall_ms, cpu_ms)

    async def digest(self, slot: str) -> str:
        """SHA-256 over the outputs that the last invocation left."""
        return _text(await self._ask("digest", slot=slot), "sha256")

    async def limit(self, memory_mb: int, threads: int, seconds: float) -> None:
        """Lets the child have this much more memory and time, for good."""
        await self._ask("limit", memory_mb=memory_mb, threads=threads, seconds=seconds)

    async def peak_memory_mb(self) -> float | None:
        answer = await self._ask("memory")
        return None if answer.get("peak_memory_mb") is None else _number(answer, "peak_memory_mb")

    async def end(self) -> str:
        """Kills the child's process group; returns the end of what was logged. May be called again."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        return (await self._log).decode(errors="replace").strip()

    async def _ask(self, command: str, **arguments: str | float) -> dict[str, Any]:
        assert self._process.stdin is not None
        with contextlib.suppress(ConnectionError):  # a child that died: its end says more
            self._process.stdin.write(json.dumps({"command": command, **arguments}).encode() + b"\n")
            await self._process.stdin.drain()
        return await self._answer("done")

    async def _answer(self, expected: str) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = b""
        try:
            line = await self._process.stdout.readline()
            if not line:
                raise RunnerDied(await self._process.wait())
            answer = json.loads(line)
        except ValueError as error:
            raise NoAnswer(f"{error}: {_shown(line)}") from None
        if isinstance(answer, dict) and answer.get("event") == "error":
            raise StepFailed(str(answer.get("message")), out_of_memory=answer.get("out_of_memory") is True)
        if not isinstance(answer, dict) or answer.get("event") != expected:
            raise NoAnswer(_shown(line))
        return answer


def _environment(python: str) -> dict[str, str]:
    """The environment of a runner; another Python must not search this one's folders."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": ""}
    if python != sys.executable:
        environment.pop("PYTHONPATH", None)
        environment.pop("PYTHONHOME", None)
    return environment


async def _tail(stream: asyncio.StreamReader | None) -> bytes:
    """Reads a stream to its end and keeps its last bytes."""
    assert stream is not None
    kept = b""
    while chunk := await stream.read(LOG_BYTES):
        kept = (kept + chunk)[-LOG_BYTES:]
    return kept


def _text(answer: dict[str, Any], key: str) -> str:
    value = answer.get(key)
    if not isinstance(value, str):
        raise NoAnswer(f"{key} is {_shown(value)}")
    return value


def _number(answer: dict[str, Any], key: str) -> float:
    return _finite(answer.get(key), key)


def _times(answer: dict[str, Any], key: str, count: int) -> tuple[float, ...]:
    values = answer.get(key)
    if not isinstance(values, list) or len(values) != count:
        raise NoAnswer(f"{key} is {_shown(values)}, wanted {count} times")
    return tuple(_finite(value, key) for value in values)


def _finite(value: Any, key: str) -> float:
    if type(value) not in (int, float) or not 0 <= value < math.inf:
        raise NoAnswer(f"{key} holds {_shown(value)}")
    return float(value)


def _shown(value: Any) -> str:
    text = value.decode(errors="replace").strip() if isinstance(value, bytes) else json.dumps(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."
