"""Which waiting job goes to which idle device, in time that does not grow with the fleet or the queue.

Jobs with equal targets share one *demand*, which knows the devices that satisfy it; there are few demands,
however many jobs and devices there are.
"""

import heapq
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from device_farm.jobs import Job, Registration, choose_runtime, unmet_demand
from device_farm.types import Target

MAX_IDLE_DEMANDS = 256  # demands without a waiting job that are remembered

DemandKey = tuple[tuple[tuple[str, str], ...], str, int, str]


@dataclass(frozen=True)
class Place:
    """Where a job may be measured: what a cached answer must match."""

    device_class: str
    emulated: bool
    profile: str
    runtime: str
    runtime_version: str


@dataclass
class _Demand:
    target: Target
    devices: dict[str, Place] = field(default_factory=dict)  # those that satisfy the target
    heap: list[tuple[int, int, str]] = field(default_factory=list)  # (-priority, sequence, job id)
    unmet_since: float | None = None


@dataclass
class _Waiting:
    entry: tuple[int, int, str]
    demand: _Demand
    since: float
    tried: Collection[str]
    wait_seconds: float


class Matchmaker:
    """The devices that may get jobs, and the jobs that wait for one."""

    def __init__(self) -> None:
        self._registrations: dict[str, Registration] = {}
        self._idle: dict[str, None] = {}  # ordered: longest unused first
        self._demands: dict[DemandKey, _Demand] = {}
        self._waiting: dict[str, _Waiting] = {}

    # Devices

    def add_device(self, registration: Registration, now: float) -> None:
        """Counts the device among those that jobs may wait for; it is not idle yet."""
        self.remove_device(registration.device_id, now)
        self._registrations[registration.device_id] = registration
        for demand in self._demands.values():
            _admit(demand, registration)

    def remove_device(self, device_id: str, now: float) -> None:
        self._idle.pop(device_id, None)
        if self._registrations.pop(device_id, None) is None:
            return
        for demand in self._demands.values():
            if demand.devices.pop(device_id, None) is not None and not demand.devices:
                demand.unmet_since = now

    def set_idle(self, device_id: str) -> None:
        """The device can take a job now. Only for a device that was added."""
        if device_id in self._registrations:
            self._idle[device_id] = None

    def set_busy(self, device_id: str) -> None:
        self._idle.pop(device_id, None)

    # Jobs

    def add_job(self, job: Job, sequence: int, tried: Collection[str], now: float) -> None:
        """The job waits; devices that it has ``tried`` are its second choice."""
        demand = self._demand(job.target, now)
        entry = (-job.priority, sequence, job.job_id)
        self._waiting[job.job_id] = _Waiting(entry, demand, now, tried, job.device_wait_seconds)
        heapq.heappush(demand.heap, entry)

    def remove_job(self, job_id: str) -> None:
        """The job waits no longer; its heap entry goes when it comes up."""
        self._waiting.pop(job_id, None)

    def is_met(self, job_id: str) -> bool:
        """Whether there is a device that the waiting job can wait for."""
        return bool(self._waiting[job_id].demand.devices)

    # Matches

    def device_for(self, job_id: str) -> str | None:
        """An idle device for a waiting job: first one that it has not tried, then the longest unused."""
        waiting = self._waiting[job_id]
        second = None
        for device_id in self._idle:
            if device_id in waiting.demand.devices:
                if device_id not in waiting.tried:
                    return device_id
                second = second or device_id
        return second

    def job_for(self, device_id: str) -> str | None:
        """The waiting job that an idle device serves next: the highest priority, then the oldest."""
        heads = [
            head
            for demand in self._demands.values()
            if device_id in demand.devices and (head := self._head(demand)) is not None
        ]
        return min(heads)[2] if heads else None

    def in_vain(self, now: float) -> Iterator[tuple[str, float]]:
        """Jobs that have waited, for as long as they were ready to, without any device to wait for."""
        for job_id, waiting in list(self._waiting.items()):
            unmet_since = waiting.demand.unmet_since
            if unmet_since is not None and now - max(unmet_since, waiting.since) >= waiting.wait_seconds:
                yield job_id, waiting.wait_seconds

    def places(self, target: Target, now: float) -> set[Place]:
        """Where a job with this target may be measured."""
        return set(self._demand(target, now).devices.values())

    def _demand(self, target: Target, now: float) -> _Demand:
        key = (tuple(sorted(target.labels.items())), target.runtime, target.threads, target.delegate)
        demand = self._demands.get(key)
        if demand is None:
            self._forget_idle_demands()
            demand = self._demands[key] = _Demand(target)
            for registration in self._registrations.values():
                _admit(demand, registration)
            if not demand.devices:
                demand.unmet_since = now
        return demand

    def _forget_idle_demands(self) -> None:
        if len(self._demands) >= MAX_IDLE_DEMANDS:
            used = Counter(id(waiting.demand) for waiting in self._waiting.values())
            self._demands = {key: demand for key, demand in self._demands.items() if used[id(demand)]}

    def _head(self, demand: _Demand) -> tuple[int, int, str] | None:
        """The demand's next job; entries of jobs that no longer wait are dropped on the way."""
        while demand.heap:
            entry = demand.heap[0]
            waiting = self._waiting.get(entry[2])
            if waiting is not None and waiting.entry == entry:
                return entry
            heapq.heappop(demand.heap)
        return None


def _admit(demand: _Demand, registration: Registration) -> None:
    """Adds the device to the demand if it satisfies it."""
    if unmet_demand(demand.target, registration) is not None:
        return
    runtime = choose_runtime(demand.target, registration.runtimes)
    assert runtime is not None  # or the demand would not be met
    demand.devices[registration.device_id] = Place(
        registration.device_class,
        registration.emulated,
        registration.profile,
        runtime.name,
        runtime.version,
    )
    demand.unmet_since = None
