"""What the scheduler hears of and what it answers. A session is one connection of a worker."""

from dataclasses import dataclass
from typing import Literal

from device_farm.coordinator.records import Record
from device_farm.jobs import (
    CoordinatorMessage,
    DeviceOrder,
    Introduction,
    Job,
    JobOutcome,
    Queued,
    Running,
    RunOutcome,
)
from device_farm.types import Measurement

# Events: what happened.


@dataclass(frozen=True)
class WorkerJoined:
    session: int
    introduction: Introduction


@dataclass(frozen=True)
class WorkerLeft:
    session: int


@dataclass(frozen=True)
class HeartbeatSeen:
    session: int
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class ResultSeen:
    session: int
    token: int
    outcome: RunOutcome


@dataclass(frozen=True)
class JobSubmitted:
    """A new job; ``answer`` is an earlier measurement that serves it."""

    job: Job
    answer: Measurement | None = None


@dataclass(frozen=True)
class JobWatched:
    """A client waits for the job."""

    job_id: str


@dataclass(frozen=True)
class JobUnwatched:
    """A client that waited is gone, for whatever reason; it may come back."""

    job_id: str


@dataclass(frozen=True)
class JobCancelled:
    job_id: str
    reason: str


@dataclass(frozen=True)
class DeviceOrdered:
    """An order that ``Scheduler.check_order`` found good, with the id of the device that it means."""

    device_id: str
    order: DeviceOrder


@dataclass(frozen=True)
class TimePassed:
    pass


Event = (
    WorkerJoined
    | WorkerLeft
    | HeartbeatSeen
    | ResultSeen
    | JobSubmitted
    | JobWatched
    | JobUnwatched
    | JobCancelled
    | DeviceOrdered
    | TimePassed
)

# Commands: what the shell has to do once the records are durable.


@dataclass(frozen=True)
class Send:
    """Send a message to a worker; nothing, if the session has ended."""

    session: int
    message: CoordinatorMessage


@dataclass(frozen=True)
class DropWorker:
    """End the worker's connection; with an error that the worker is told, or quietly."""

    session: int
    reason: str
    code: Literal["ALREADY_EXISTS", "INVALID_ARGUMENT", "UNAVAILABLE"] | None = None


@dataclass(frozen=True)
class UpdateJob:
    """Tell those who wait for the job."""

    job_id: str
    update: Queued | Running


@dataclass(frozen=True)
class FinishJob:
    """Tell those who wait for the job its outcome."""

    job: Job
    outcome: JobOutcome


Command = Send | DropWorker | UpdateJob | FinishJob


@dataclass(frozen=True)
class Decision:
    """What follows from an event: facts to make durable, then things to do, each in order."""

    records: tuple[Record, ...]
    commands: tuple[Command, ...]
