"""A coordinator as a process of its own, for benchmarks: pinned, killed, restarted, and asked what it used."""

import os
import platform
import select
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

START_SECONDS = 60.0
STOP_SECONDS = 10.0
JOBS_BY_ENDINGS = """
SELECT endings, count(*) FROM (
    SELECT (SELECT count(*) FROM story WHERE story.job_id = jobs.job_id AND (
        text GLOB 'measured on *' OR text GLOB 'answered from *' OR text GLOB 'infeasible: *'
        OR text GLOB 'failed: *' OR text GLOB 'no device: *' OR text GLOB 'cancelled: *')) AS endings
    FROM jobs)
GROUP BY endings
"""


@dataclass(frozen=True)
class Usage:
    """What a process used so far."""

    peak_rss_mb: float
    cpu_seconds: float


class CoordinatorProcess:
    """``python -m device_farm serve`` on a free loopback port, which it keeps when it is restarted.

    Args:
        folder: for its state and its log.
        cores: the cores that it may use; empty: all.
        options: further options of ``device-farm serve``.
    """

    def __init__(self, folder: Path, cores: Collection[int] = (), options: Sequence[str] = ()) -> None:
        self.address = "127.0.0.1:0"
        self.restarts = 0
        self.state = folder / "coordinator"
        self._log = folder / "coordinator.log"
        self._cores, self._options = cores, options
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running().terminate()
        try:
            self._running().wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def start(self) -> None:
        """Starts the process and returns when it listens. Raises RuntimeError with its log if it does not."""
        ready, ready_of_child = os.pipe()
        command = ["serve", "--listen", self.address, "--state", str(self.state), *self._options]
        self.state.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(
                [
                    *(sys.executable, "-m", "device_farm", *command),
                    *("--ready-fd", str(ready_of_child), "--exit-with", str(os.getpid())),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=(ready_of_child,),
                start_new_session=True,
            )
        os.close(ready_of_child)
        if self._cores:
            os.sched_setaffinity(self._child.pid, self._cores)
        with os.fdopen(ready, encoding="utf-8") as pipe:
            timely, _, _ = select.select([pipe], [], [], START_SECONDS)
            address = pipe.readline().strip() if timely else ""
        if not address:
            self._child.kill()
            self._child.wait()
            raise RuntimeError("the coordinator did not start:\n" + self.log_end())
        self.address = address

    def kill(self) -> None:
        """SIGKILL: no chance to write anything."""
        self._running().send_signal(signal.SIGKILL)
        self._running().wait()

    def restart(self) -> None:
        """SIGKILL, and at once a new process on the same port and state."""
        self.kill()
        self.start()
        self.restarts += 1

    def jobs_by_endings(self) -> Counter[int]:
        """From its database: how many jobs have ended never, once, and more than once."""
        with closing(sqlite3.connect(self.state / "farm.db")) as connection:
            return Counter(dict(connection.execute(JOBS_BY_ENDINGS)))

    def story(self, job_id: str) -> list[str]:
        """From its database: what happened to a job."""
        with closing(sqlite3.connect(self.state / "farm.db")) as connection:
            rows = connection.execute("SELECT text FROM story WHERE job_id = ? ORDER BY rowid", (job_id,))
            return [text for (text,) in rows]

    def usage(self) -> Usage:
        """What the present process used since it started."""
        return usage_of(self._running().pid)

    def log_end(self, lines: int = 10) -> str:
        """The last lines of its log."""
        return "\n".join(self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            raise RuntimeError("the coordinator was not started")
        return self._child


def usage_of(pid: int) -> Usage:
    """Peak resident memory and processor time (user and system) of a process, from /proc."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    peak_kib = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])  # utime and stime, the 14th and 15th of proc(5)
    return Usage(peak_kib * 1024 / 1e6, ticks / os.sysconf("SC_CLK_TCK"))


def machine() -> str:
    """The machine and the versions that figures belong to, in one line."""
    import google.protobuf
    import grpc

    cpus = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.partition(": ")[2] for line in cpus if line.startswith("model name")), "unknown CPU")
    return (
        f"{os.cpu_count()} cores of {model}, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, gRPC {grpc.__version__}, protobuf {google.protobuf.__version__}"
    )


def split_cores() -> tuple[set[int], set[int]]:
    """One core for the coordinator, the others for what uses it; the same one twice where there is only one."""
    first, *others = sorted(os.sched_getaffinity(0))
    return {first}, set(others) or {first}


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Rows as a Markdown table, the first one as its head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for number, row in enumerate(rows):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |")
        if number == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")
