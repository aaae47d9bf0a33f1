"""A farm of this one machine, started and stopped by the program that needs it."""

import os
import select
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from device_farm.credentials import CREDENTIALS_VARIABLE
from device_farm.types import FarmUnavailable

PACKAGE_PARENT = Path(__file__).resolve().parents[1]
STOP_SECONDS = 10.0
LOG_LINES_SHOWN = 5
OTHER_FARM = ("DEVICE_FARM", CREDENTIALS_VARIABLE)


class LocalFarm:
    """A coordinator on a free loopback port and one worker for this machine, as child processes.

    Both have sessions of their own, so that Ctrl-C in a terminal reaches only the parent, which stops them
    on its way out. They watch the parent's process id and end by themselves, within a second, should it
    die without that chance (SIGKILL).

    Args:
        state_dir: keeps jobs, models, the device's key and logs (``coordinator/log``, ``worker/log``).
        name: the device's name; None: the host name.
        labels: further labels of the device.
        runtimes: further runtimes, name -> Python, as for ``device-farm worker --runtime``.
        start_timeout_seconds: how long each process may take until it is ready.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        name: str | None = None,
        labels: Mapping[str, str] | None = None,
        runtimes: Mapping[str, str | Path] | None = None,
        start_timeout_seconds: float = 60.0,
    ) -> None:
        self._state_dir = state_dir
        self._worker_options = [
            *(["--name", name] if name else []),
            *(f"--label={key}={value}" for key, value in (labels or {}).items()),
            *(f"--runtime={key}={python}" for key, python in (runtimes or {}).items()),
        ]
        self._start_timeout_seconds = start_timeout_seconds
        self._running = ExitStack()
        self._address: str | None = None

    @property
    def address(self) -> str:
        """The coordinator's HOST:PORT. Raises RuntimeError unless the farm runs."""
        if self._address is None:
            raise RuntimeError("the local farm is not running: enter its context first")
        return self._address

    def __enter__(self) -> Self:
        """Starts both processes; returns when the worker is registered.

        Raises:
            FarmUnavailable: one of them ended or was not ready in time; with the end of its log.
        """
        with ExitStack() as starting:
            address = self._start(starting, "coordinator", ["serve", "--listen", "127.0.0.1:0"])
            self._start(starting, "worker", ["worker", "--farm", address, *self._worker_options])
            self._running = starting.pop_all()
        self._address = address
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._address = None
        self._running.close()

    def _start(self, stack: ExitStack, role: str, command: list[str]) -> str:
        """Starts one process, arranges for its end, and returns the line that says it is ready."""
        state = self._state_dir / role
        state.mkdir(parents=True, exist_ok=True)
        log = state / "log"
        ready, ready_of_child = os.pipe()
        try:
            with log.open("ab") as log_file:
                child = subprocess.Popen(
                    [
                        *(sys.executable, "-m", "device_farm", *command, "--state", str(state)),
                        *("--ready-fd", str(ready_of_child), "--exit-with", str(os.getpid())),
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=log_file,
                    stderr=subprocess.STDOUT,
                    pass_fds=(ready_of_child,),
                    start_new_session=True,
                    env=_environment(),
                )
            stack.callback(_stop, child)
        finally:
            os.close(ready_of_child)
        with os.fdopen(ready, encoding="utf-8") as pipe:
            timely, _, _ = select.select([pipe], [], [], self._start_timeout_seconds)
            line = pipe.readline().strip() if timely else ""
        if not line:
            raise FarmUnavailable(_why_not(role, log, self._start_timeout_seconds if not timely else None))
        return line


def _environment() -> dict[str, str]:
    """The children find this package also where it was imported from a folder rather than installed.

    Another farm's address and credentials, which the person may have in the environment, are not theirs: this
    farm is on loopback and asks for none.
    """
    kept = {key: value for key, value in os.environ.items() if key not in OTHER_FARM}
    paths = [str(PACKAGE_PARENT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**kept, "PYTHONPATH": os.pathsep.join(paths)}


def _stop(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _why_not(role: str, log: Path, waited: float | None) -> str:
    said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-LOG_LINES_SHOWN:]
    reason = "ended at once" if waited is None else f"was not ready within {waited:g} s"
    return f"the local farm's {role} {reason}; the end of {log}:\n" + "\n".join(said)
