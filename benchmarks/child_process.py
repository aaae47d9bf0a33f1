"""Processes of benchmarks: each leads a group of its own that gets all signals; what it prints can be awaited."""

import json
import os
import queue
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class Child:
    """A running command; its standard error goes with its output. Leaving the context kills its whole group."""

    def __init__(
        self, command: Sequence[str], folder: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **(environment or {}), "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._seen: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_alive(self) -> bool:
        """Whether the process itself still runs."""
        return self._process.poll() is None

    def wait_for(self, start: str, timeout_s: float) -> str | None:
        """The next line that starts so, or None if the time is up or the output has ended."""
        deadline = time.monotonic() + timeout_s
        while (left := deadline - time.monotonic()) > 0:
            try:
                line = self._lines.get(timeout=left)
            except queue.Empty:
                return None
            if line is None:
                return None
            self._seen.append(line)
            if line.startswith(start):
                return line
        return None

    def answer(self, timeout_s: float) -> dict[str, Any] | None:
        """The next line of JSON, or None as in ``wait_for``."""
        line = self.wait_for("{", timeout_s)
        return None if line is None else json.loads(line)

    def need(self, start: str, timeout_s: float = 60.0) -> str:
        """As ``wait_for``; raises RuntimeError with the end of the output instead of returning None."""
        line = self.wait_for(start, timeout_s)
        if line is None:
            raise RuntimeError(f"no line {start!r} within {timeout_s:g} s; the last ones: {self._seen[-8:]}")
        return line

    def kill(self) -> None:
        """SIGKILL to the whole group, also if it is stopped."""
        self.signal(signal.SIGKILL)
        self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the whole group, if there still is one."""
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)


def free_port() -> int:
    """A loopback port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def wait_for_port(port: int, timeout_s: float = 60.0) -> None:
    """Returns when somebody listens there; raises TimeoutError otherwise."""

    def somebody_listens() -> bool:
        with socket.socket() as trial:
            return trial.connect_ex(("127.0.0.1", port)) == 0

    if not until_true(somebody_listens, timeout_s):
        raise TimeoutError(f"nobody listens on port {port} after {timeout_s:g} s")


def until_true(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Looks again and again; whether the condition came true in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)  # processes and sockets of other systems tell nobody when they change
    return True


def leaves(pid: int) -> list[int]:
    """The descendants of a process that have no children themselves."""
    children = [
        int(child)
        for thread in Path(f"/proc/{pid}/task").iterdir()
        for child in (thread / "children").read_text(encoding="ascii").split()
    ]
    return [leaf for child in children for leaf in (leaves(child) or [child])]
