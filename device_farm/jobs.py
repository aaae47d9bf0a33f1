"""What coordinator and worker speak about: registrations, jobs, leases and how a job can end."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from device_farm.types import (
    Delegate,
    Device,
    EvidenceValue,
    Measurement,
    MeasurementSettings,
    Runtime,
    Target,
)


@dataclass(frozen=True)
class Registration:
    """What a worker says about its device when it connects; ``device_id`` survives its restarts."""

    device_id: str
    name: str
    device_class: str
    labels: Mapping[str, str]
    facts: Mapping[str, str]
    runtimes: tuple[Runtime, ...]
    emulated: bool = False

    def __post_init__(self) -> None:
        for key in ("device_id", "name", "device_class"):
            if not getattr(self, key).strip():
                raise ValueError(f"registration: {key} is empty")
        if not self.runtimes:
            raise ValueError(f"registration of {self.name}: the device offers no runtime")


@dataclass(frozen=True)
class Job:
    """One file to be measured once. The client chooses ``job_id``; higher ``priority`` goes first."""

    job_id: str
    model_sha256: str
    target: Target = field(default_factory=Target)
    settings: MeasurementSettings = field(default_factory=MeasurementSettings)
    priority: int = 0
    device_wait_seconds: float = 15.0

    def __post_init__(self) -> None:
        if not self.job_id:
            raise ValueError("job: job_id is empty")
        if not 0 <= self.device_wait_seconds < float("inf"):
            raise ValueError(f"job: device_wait_seconds must be at least 0, got {self.device_wait_seconds}")


@dataclass(frozen=True)
class Lease:
    """An exclusive, expiring right to a device for one job. Tokens only grow: an old one is refused."""

    token: int
    job: Job


@dataclass(frozen=True)
class RunReport:
    """What a worker saw when it ran a file: raw samples and evidence, no statistics."""

    model_sha256: str
    runtime: str
    runtime_version: str
    threads: int
    delegate: Delegate
    samples_ms: tuple[float, ...]
    warmup_ms: tuple[float, ...]
    cpu_ms: tuple[float, ...]
    measured_at: float
    evidence: Mapping[str, EvidenceValue]


@dataclass(frozen=True)
class Infeasible:
    """The file itself cannot be run; ``message`` holds the interpreter's log."""

    message: str


@dataclass(frozen=True)
class Failed:
    """Something other than the file went wrong; ``retryable`` says whether another attempt may succeed."""

    message: str
    retryable: bool = True


@dataclass(frozen=True)
class NoDevice:
    """No registered device satisfied the job's target for as long as it was ready to wait."""

    message: str


@dataclass(frozen=True)
class Cancelled:
    """The client gave the job up."""

    message: str


RunOutcome = RunReport | Infeasible | Failed
JobOutcome = Measurement | Infeasible | Failed | NoDevice | Cancelled


@dataclass(frozen=True)
class Queued:
    """The job waits; ``reason`` says for what."""

    reason: str


@dataclass(frozen=True)
class Running:
    """The job runs on the named device."""

    device_name: str


JobUpdate = Queued | Running | JobOutcome


# Messages of a worker's stream, beside Registration and Lease.


@dataclass(frozen=True)
class Heartbeat:
    """The worker is alive and holds the leases with these tokens."""

    tokens: tuple[int, ...]


@dataclass(frozen=True)
class LeaseResult:
    token: int
    outcome: RunOutcome


@dataclass(frozen=True)
class Welcome:
    heartbeat_seconds: float


@dataclass(frozen=True)
class Revocation:
    """The lease is void; what runs under it is to be killed and its result would be refused."""

    token: int
    reason: str


WorkerMessage = Registration | Heartbeat | LeaseResult
CoordinatorMessage = Welcome | Lease | Revocation


def is_final(update: JobUpdate) -> bool:
    """Whether a job's update is its outcome."""
    return not isinstance(update, Queued | Running)


def unmet_demand(target: Target, device: Device | Registration) -> str | None:
    """Why the device cannot serve the target, or None if it can."""
    for key, wanted in target.labels.items():
        found = device.labels.get(key)
        if found != wanted:
            return f"label {key} is {found or 'absent'}, wanted {wanted}"
    runtime = choose_runtime(target, device.runtimes)
    if runtime is None:
        return f"no runtime {target.runtime}"
    if target.delegate not in runtime.delegates:
        return f"{runtime.name} has no delegate {target.delegate}"
    cores = device.facts.get("cores")
    if cores is not None and cores.isdecimal() and target.threads > int(cores):
        return f"{target.threads} threads wanted on {cores} cores"
    return None


def choose_runtime(target: Target, runtimes: tuple[Runtime, ...]) -> Runtime | None:
    """The runtime that the target names, or the device's first one if it names none."""
    return next((runtime for runtime in runtimes if target.runtime in ("", runtime.name)), None)
