"""Whether any fault loses a job or lets two results of one job count.

    python benchmarks/chaos.py [--devices 1000] [--jobs 10000] [--kills 20] [--every 6] [--faults 20] [--seed 0]

Jobs are submitted at an even pace while the coordinator is killed (SIGKILL) and restarted every few seconds. All
the while devices are restarted in the middle of their jobs, their connections and those of the clients are cut,
and some answers come twice, others only after their lease has lapsed. Then calm returns, the coordinator is
restarted once more, and each job is asked for again: its outcome must be the one that its client has seen, from
the same execution.
"""

import argparse
import asyncio
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from async_client import AsyncClient, until
from coordinator import CLIENT_CONNECTIONS, CONNECT_SECONDS, MODEL_CONSTANT_BYTES, small_job
from farm_process import CoordinatorProcess, machine, print_table, split_cores
from simulated_device import EXECUTION, Conduct, SimulatedDevice, serving
from tiny_models import TinyModels

from device_farm.jobs import Job, JobOutcome, Lease
from device_farm.types import Measurement

LATE_SECONDS = 5.0  # by how much a delayed answer misses its lease
HOLD_SECONDS = 1.0  # the longest job, but for the late ones
TWICE, LATE = 0.1, 0.005  # shares of the leases
FEW_BUSY = 10
ASKED_AT_ONCE = 200


@dataclass
class Tally:
    """What happened. ``outcomes`` is what clients were told, ``again`` what they were told on asking again."""

    outcomes: dict[str, list[JobOutcome]] = field(default_factory=dict)
    again: dict[str, JobOutcome] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    by_endings: Counter[int] = field(default_factory=Counter)
    stories: dict[str, list[str]] = field(default_factory=dict)

    def not_measured(self) -> list[str]:
        """The jobs that have no outcome, or another one than a measurement."""
        return [
            job_id
            for job_id, told in self.outcomes.items()
            if not told or not all(isinstance(outcome, Measurement) for outcome in told)
        ]

    def executions(self, job_id: str) -> set[str]:
        """The executions whose results a client was given for the job; two are one too many."""
        told = [*self.outcomes[job_id], *([self.again[job_id]] if job_id in self.again else [])]
        return {str(outcome.evidence[EXECUTION]) for outcome in told if isinstance(outcome, Measurement)}


class Chaos:
    """One run: who submits, who breaks things, and who looks at the result."""

    def __init__(self, coordinator: CoordinatorProcess, options: argparse.Namespace) -> None:
        self.tally = Tally()
        self._coordinator, self._options = coordinator, options
        self._random = random.Random(options.seed)
        self._lease_seconds = 10.0
        models = TinyModels(MODEL_CONSTANT_BYTES)
        self._models = {f"job-{number:08d}": models.numbered(number) for number in range(options.jobs)}

    async def run(self) -> Tally:
        """The storm, the calm, and the questions."""
        started = time.perf_counter()
        address = self._coordinator.address
        self._devices = [
            SimulatedDevice(address, number, on_lease=self._leased, conduct=self._conduct)
            for number in range(self._options.devices)
        ]
        async with serving(self._devices), AsyncClient(address, CLIENT_CONNECTIONS) as self._client:
            await until(lambda: all(device.welcome for device in self._devices), CONNECT_SECONDS, "connected")
            welcomes = [device.welcome for device in self._devices if device.welcome is not None]
            self._lease_seconds = max(welcome.lease_seconds for welcome in welcomes)
            await self._storm()
            await asyncio.to_thread(self._coordinator.restart)
            await self._ask_again()
        self.tally.faults["client's calls made again"] = self._client.reconnections
        self.tally.seconds = time.perf_counter() - started
        return self.tally

    # The storm

    async def _storm(self) -> None:
        sabotage = asyncio.create_task(self._sabotage())
        jobs = asyncio.create_task(self._submit_all())
        for _ in range(self._options.kills):
            await asyncio.sleep(self._options.every)
            self._check(sabotage)
            await asyncio.to_thread(self._coordinator.restart)
            self.tally.faults["coordinator killed"] += 1
        sabotage.cancel()
        await asyncio.wait({jobs}, timeout=self._options.calm)
        if jobs.done():
            jobs.result()
        jobs.cancel()

    async def _submit_all(self) -> None:
        pause = self._options.kills * self._options.every / self._options.jobs
        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number, job_id in enumerate(self._models):
                self.tally.outcomes[job_id] = []
                await asyncio.sleep(max(0.0, started + number * pause - time.perf_counter()))
                group.create_task(self._measure(job_id))

    async def _measure(self, job_id: str) -> None:
        outcome = await self._client.measure(self._job(job_id), self._models[job_id])
        self.tally.outcomes[job_id].append(outcome)

    def _job(self, job_id: str) -> Job:
        return small_job(job_id, self._models[job_id])

    async def _sabotage(self) -> None:
        while True:
            await asyncio.sleep(1 / self._options.faults)
            busy = [device for device in self._devices if device.is_busy]
            few = len(busy) < FEW_BUSY  # or the last jobs would lose device after device
            device = self._random.choice(self._devices if few else busy)
            match self._random.choices(("restart", "cut", "client"), (10, 10, 1))[0]:
                case "restart":
                    await device.restart()
                    self.tally.faults["device restarted"] += 1
                case "cut":
                    await device.cut()
                    self.tally.faults["device's connection cut"] += 1
                case _:
                    await self._client.cut()
                    self.tally.faults["client's connection cut"] += 1

    def _conduct(self, lease: Lease) -> Conduct:
        del lease
        hold, draw = self._random.uniform(0, HOLD_SECONDS), self._random.random()
        if draw < LATE:
            self.tally.faults["answer after its lease"] += 1
            return Conduct(self._lease_seconds + LATE_SECONDS, neglected=True)
        if draw < LATE + TWICE:
            self.tally.faults["answer sent twice"] += 1
            return Conduct(hold, copies=2)
        return Conduct(hold)

    def _leased(self, lease: Lease) -> None:
        del lease
        self.tally.faults["leases"] += 1

    @staticmethod
    def _check(task: asyncio.Task[None]) -> None:
        if task.done():
            task.result()

    # The questions

    async def _ask_again(self) -> None:
        left = iter(self._models)

        async def ask() -> None:
            for job_id in left:
                if self.tally.outcomes[job_id]:
                    self.tally.again[job_id] = await self._client.measure(
                        self._job(job_id), self._models[job_id]
                    )

        async with asyncio.timeout(self._options.calm):
            await asyncio.gather(*(ask() for _ in range(ASKED_AT_ONCE)))


def main() -> None:
    """Run it and print what was lost or counted twice."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--every", type=float, default=6.0, metavar="SECONDS", help="between two kills")
    parser.add_argument(
        "--faults", type=float, default=20.0, metavar="PER_SECOND", help="of devices and clients"
    )
    parser.add_argument(
        "--calm", type=float, default=180.0, metavar="SECONDS", help="what the last jobs may take in the end"
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    core, others = split_cores()
    with (
        tempfile.TemporaryDirectory(prefix="device-farm-benchmark-") as folder,
        CoordinatorProcess(Path(folder), core) as coordinator,
    ):
        os.sched_setaffinity(0, others)
        tally = asyncio.run(Chaos(coordinator, options).run())
        tally.by_endings = coordinator.jobs_by_endings()
        tally.stories = {job_id: coordinator.story(job_id) for job_id in tally.not_measured()}
    print(f"{machine()}\nseed {options.seed}, {tally.seconds:.0f} s in all\n")
    print_table(report(tally))
    for job_id, story in tally.stories.items():
        print(f"\n{job_id}:", *story, sep="\n  ")


def report(tally: Tally) -> Sequence[Sequence[str]]:
    """The table: what, wanted, found."""
    answers = Counter(len(outcomes) for outcomes in tally.outcomes.values())
    kinds = Counter(type(outcome).__name__ for told in tally.outcomes.values() for outcome in told)
    twice = sum(len(tally.executions(job_id)) > 1 for job_id in tally.outcomes)
    changed = sum(tally.outcomes[job_id][0] != outcome for job_id, outcome in tally.again.items())
    return [
        ("", "wanted", "found"),
        ("jobs submitted", "", str(len(tally.outcomes))),
        ("jobs without an outcome (lost)", "0", str(answers[0])),
        ("jobs with exactly one outcome", str(len(tally.outcomes)), str(answers[1])),
        ("jobs with results of two executions (accepted twice)", "0", str(twice)),
        ("jobs that ended never, in the database", "0", str(tally.by_endings[0])),
        ("jobs that ended once, in the database", str(len(tally.outcomes)), str(tally.by_endings[1])),
        ("outcomes that differ when asked for again", "0", str(changed)),
        *((f"outcomes: {kind}", "", str(count)) for kind, count in sorted(kinds.items())),
        *((kind, "", str(count)) for kind, count in sorted(tally.faults.items())),
    ]


if __name__ == "__main__":
    main()
