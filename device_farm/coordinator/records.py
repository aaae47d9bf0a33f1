"""The farm's durable facts: what the scheduler decides, the database keeps, and a restart starts from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from device_farm.jobs import Job, JobOutcome, Registration
from device_farm.types import Standing

# Why an attempt came to nothing: something broke, its device was lost, or its conditions were not valid.
Ending = Literal["failure", "loss", "invalid"]


@dataclass(frozen=True)
class JobAccepted:
    """A job was submitted. ``sequence`` numbers the jobs in their order."""

    job: Job
    sequence: int


@dataclass(frozen=True)
class LeaseGranted:
    job_id: str
    token: int
    device_id: str
    device_name: str


@dataclass(frozen=True)
class AttemptEnded:
    """A lease ended without an outcome; the job waits again."""

    job_id: str
    token: int
    ending: Ending
    reason: str


@dataclass(frozen=True)
class JobEnded:
    """A job's one outcome. ``device_id`` is empty if none had it."""

    job_id: str
    outcome: JobOutcome
    device_id: str = ""


@dataclass(frozen=True)
class DeviceKnown:
    """A device as it is from now on. ``baselines_ms`` of the reference model are by "RUNTIME/DELEGATE"."""

    registration: Registration
    standing: Standing = "active"
    standing_reason: str = ""
    baselines_ms: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class DeviceForgotten:
    device_id: str


@dataclass(frozen=True)
class AnswersTainted:
    """The device drifted while it gave these answers: none of them may answer another job."""

    device_id: str
    job_ids: tuple[str, ...]
    reason: str


Record = JobAccepted | LeaseGranted | AttemptEnded | JobEnded | DeviceKnown | DeviceForgotten | AnswersTainted


@dataclass(frozen=True)
class UnfinishedJob:
    """A job that has no outcome yet; with the lease that it was under, if any."""

    job: Job
    sequence: int
    attempts: Mapping[Ending, int] = field(default_factory=dict)
    tried: frozenset[str] = frozenset()
    token: int | None = None
    device_id: str | None = None


@dataclass(frozen=True)
class Snapshot:
    """All that a scheduler needs in order to go on."""

    devices: tuple[DeviceKnown, ...] = ()
    jobs: tuple[UnfinishedJob, ...] = ()
    last_token: int = 0
    last_sequence: int = 0
