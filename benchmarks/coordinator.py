"""What one core's coordinator bears: jobs per second, time from submission to lease, and memory.

    python benchmarks/coordinator.py [--devices 1000] [--jobs 10000] [--rate 50] [--seconds 60]

A real coordinator has one core; simulated devices, each over a connection of its own, and the clients have the
others. First a closed loop: jobs for distinct 1 KB models, nothing from the cache, a bounded number of them under
way (--outstanding). Then an open loop: jobs at a fixed rate, whatever becomes of them; the time runs from the
moment at which a job was due to the moment at which a device has its lease.
"""

import argparse
import asyncio
import hashlib
import os
import statistics
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from async_client import AsyncClient, until
from farm_process import CoordinatorProcess, Usage, machine, print_table, split_cores, usage_of
from simulated_device import SimulatedDevice, serving
from tiny_models import TinyModels

from device_farm.jobs import Job, JobOutcome, Lease
from device_farm.types import Measurement

MODEL_CONSTANT_BYTES = 652  # makes files of 1 KiB
CLIENT_CONNECTIONS = 4
CONNECT_SECONDS = 120.0
WANTED_JOBS_PER_SECOND, WANTED_P99_MS, WANTED_PEAK_MB = 500, 100, 300


@dataclass(frozen=True)
class Closed:
    """The closed loop: ``outcomes`` by job id."""

    seconds: float
    outcomes: dict[str, JobOutcome]
    coordinator: Usage
    load: Usage


@dataclass(frozen=True)
class Found:
    """All figures of a run. ``lease_ms``: the open loop's times from due to leased.

    ``by_endings`` counts the closed loop's jobs by how often they ended, as the coordinator's database has it.
    """

    connect_seconds: float
    closed: Closed
    by_endings: Counter[int]
    lease_ms: list[float]
    peak_rss_mb: float


class Farm:
    """The parts of a run in this process: devices, client, models, and when each job was leased."""

    def __init__(self, coordinator: CoordinatorProcess) -> None:
        self.leased_at: dict[str, list[float]] = {}
        self._coordinator = coordinator
        self._models = TinyModels(MODEL_CONSTANT_BYTES)
        self._numbers = iter(range(100_000_000))
        self._running = AsyncExitStack()

    async def __aenter__(self) -> "Farm":
        self._client = AsyncClient(self._coordinator.address, CLIENT_CONNECTIONS)
        await self._running.enter_async_context(self._client)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._running.aclose()

    async def connect(self, count: int) -> float:
        """Starts that many devices; seconds until all were registered."""
        started = time.perf_counter()
        address = self._coordinator.address
        devices = [SimulatedDevice(address, number, on_lease=self._leased) for number in range(count)]
        await self._running.enter_async_context(serving(devices))
        await until(
            lambda: all(device.welcome for device in devices), CONNECT_SECONDS, f"{count} devices connected"
        )
        return time.perf_counter() - started

    async def submit(self, job_id: str) -> JobOutcome:
        """One job for a model of its own."""
        model = self._models.numbered(next(self._numbers))
        return await self._client.measure(small_job(job_id, model), model)

    async def closed_loop(self, jobs: int, outstanding: int) -> Closed:
        """So many jobs in all, so many at a time."""
        outcomes: dict[str, JobOutcome] = {}
        left = iter(range(jobs))

        async def one_after_another() -> None:
            for _ in left:
                job_id = uuid.uuid4().hex
                outcomes[job_id] = await self.submit(job_id)

        before, load_before, started = self._coordinator.usage(), usage_of(os.getpid()), time.perf_counter()
        await asyncio.gather(*(one_after_another() for _ in range(min(jobs, outstanding))))
        seconds = time.perf_counter() - started
        return Closed(
            seconds,
            outcomes,
            _spent(before, self._coordinator.usage()),
            _spent(load_before, usage_of(os.getpid())),
        )

    async def open_loop(self, rate: float, seconds: float) -> list[float]:
        """Jobs at a fixed rate; milliseconds from when each was due to when a device had its lease."""
        started = time.perf_counter()
        due = {uuid.uuid4().hex: started + number / rate for number in range(round(rate * seconds))}
        tasks = []
        for job_id, at in due.items():
            await asyncio.sleep(max(0.0, at - time.perf_counter()))
            tasks.append(asyncio.create_task(self.submit(job_id)))
        await asyncio.gather(*tasks)
        return [1000 * (self.leased_at[job_id][0] - at) for job_id, at in due.items()]

    def _leased(self, lease: Lease) -> None:
        self.leased_at.setdefault(lease.job.job_id, []).append(time.perf_counter())


def small_job(job_id: str, model: bytes) -> Job:
    """A job for the model with the default target and settings, never answered from the cache."""
    return Job(job_id, hashlib.sha256(model).hexdigest(), fresh=True, device_wait_seconds=600.0)


def main() -> None:
    """Run both loops and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--outstanding", type=int, default=2000)
    parser.add_argument("--rate", type=float, default=50.0, metavar="JOBS_PER_SECOND")
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    core, others = split_cores()
    with (
        tempfile.TemporaryDirectory(prefix="device-farm-benchmark-") as folder,
        CoordinatorProcess(Path(folder), core) as coordinator,
    ):
        os.sched_setaffinity(0, others)
        found = asyncio.run(run(coordinator, options))
    print(f"{machine()}\ncoordinator on core {sorted(core)}, devices and clients on {sorted(others)}\n")
    print_table(report(found, options))


async def run(coordinator: CoordinatorProcess, options: argparse.Namespace) -> Found:
    """Connect, the closed loop, the open loop."""
    async with Farm(coordinator) as farm:
        connect_seconds = await farm.connect(options.devices)
        closed = await farm.closed_loop(options.jobs, options.outstanding)
        by_endings = coordinator.jobs_by_endings()
        lease_ms = await farm.open_loop(options.rate, options.seconds)
        return Found(connect_seconds, closed, by_endings, lease_ms, coordinator.usage().peak_rss_mb)


def report(found: Found, options: argparse.Namespace) -> Sequence[Sequence[str]]:
    """The table: what, wanted, found, found / wanted."""
    closed, jobs = found.closed, options.jobs
    rate, once = jobs / closed.seconds, found.by_endings[1]
    measured = sum(isinstance(outcome, Measurement) for outcome in closed.outcomes.values())
    p50, p99 = (
        statistics.median(found.lease_ms),
        statistics.quantiles(found.lease_ms, n=100, method="inclusive")[98],
    )
    return [
        ("", "wanted", "found", "found / wanted"),
        (f"{options.devices} devices connected, s", "", f"{found.connect_seconds:.1f}", ""),
        (
            f"closed loop, {jobs} jobs: jobs/s",
            f">= {WANTED_JOBS_PER_SECOND}",
            f"{rate:.0f}",
            f"{rate / WANTED_JOBS_PER_SECOND:.2f}",
        ),
        ("jobs with exactly one result", str(jobs), str(once), f"{once / jobs:.4f}"),
        ("results that are measurements", str(jobs), str(measured), f"{measured / jobs:.4f}"),
        (
            "coordinator's processor time, ms/job",
            "",
            f"{1000 * closed.coordinator.cpu_seconds / jobs:.2f}",
            "",
        ),
        (
            "devices' and clients' processor time, ms/job",
            "",
            f"{1000 * closed.load.cpu_seconds / jobs:.2f}",
            "",
        ),
        (f"open loop, {options.rate:g} jobs/s: p50 to lease, ms", "", f"{p50:.1f}", ""),
        (
            f"p99 of {len(found.lease_ms)}, ms",
            f"<= {WANTED_P99_MS}",
            f"{p99:.1f}",
            f"{p99 / WANTED_P99_MS:.2f}",
        ),
        ("longest, ms", "", f"{max(found.lease_ms):.1f}", ""),
        (
            "coordinator's peak memory, MB",
            f"<= {WANTED_PEAK_MB}",
            f"{found.peak_rss_mb:.0f}",
            f"{found.peak_rss_mb / WANTED_PEAK_MB:.2f}",
        ),
    ]


def _spent(before: Usage, after: Usage) -> Usage:
    return Usage(after.peak_rss_mb, after.cpu_seconds - before.cpu_seconds)


if __name__ == "__main__":
    main()
