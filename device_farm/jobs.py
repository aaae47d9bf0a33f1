"""What coordinator and worker speak about: registrations, jobs, leases and how a job can end."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from device_farm.types import (
    Delegate,
    Device,
    EvidenceValue,
    Measurement,
    MeasurementSettings,
    OperatorTime,
    Runtime,
    StopReason,
    Target,
)

DeviceAction = Literal["drain", "resume", "quarantine", "remove"]
DEVICE_ACTIONS: tuple[DeviceAction, ...] = get_args(DeviceAction)

INLINE_MODEL_BYTES = 64 * 1024  # files up to this size travel inside messages, larger ones in streams


@dataclass(frozen=True)
class Registration:
    """What a worker says about its device when it connects; ``device_id`` survives its restarts.

    ``references_ms`` has the CPU times of the reference model by "RUNTIME/DELEGATE", measured when the
    worker started; ``profile`` names the rules that its measurements are held against.
    """

    device_id: str
    name: str
    device_class: str
    labels: Mapping[str, str]
    facts: Mapping[str, str]
    runtimes: tuple[Runtime, ...]
    emulated: bool = False
    profile: str = "generic"
    references_ms: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key in ("device_id", "name", "device_class"):
            if not getattr(self, key).strip():
                raise ValueError(f"registration: {key} is empty")
        if not self.runtimes:
            raise ValueError(f"registration of {self.name}: the device offers no runtime")


@dataclass(frozen=True)
class Introduction:
    """A worker's first words in each connection.

    ``device_key`` is the device's secret, which its id is derived from: nobody else can claim the id.
    ``incarnation`` is new with each start of the worker's process: the same one comes back after a lost
    connection and still runs the jobs whose leases' tokens it ``held``; another one does not.
    """

    registration: Registration
    device_key: str = field(repr=False)
    incarnation: str
    held: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        name = self.registration.name
        if device_id_of(self.device_key) != self.registration.device_id:
            raise ValueError(
                f"registration of {name}: the device's key does not belong to the id that it claims"
            )
        if not self.incarnation:
            raise ValueError(f"registration of {name}: incarnation is empty")


@dataclass(frozen=True)
class Job:
    """One file to be measured once. The client chooses ``job_id``; higher ``priority`` goes first.

    Attributes:
        device_wait_seconds: how long the job waits while no registered device satisfies its target.
        fresh: insist on a new measurement, even if the farm knows an answer.
        profile_operators: measure the time per operator as well; such jobs are always fresh.
        detached: the job stays when nobody waits for it.
    """

    job_id: str
    model_sha256: str
    target: Target = field(default_factory=Target)
    settings: MeasurementSettings = field(default_factory=MeasurementSettings)
    priority: int = 0
    device_wait_seconds: float = 15.0
    fresh: bool = False
    profile_operators: bool = False
    detached: bool = False

    def __post_init__(self) -> None:
        if not self.job_id:
            raise ValueError("job: job_id is empty")
        if not 0 <= self.device_wait_seconds < float("inf"):
            raise ValueError(f"job: device_wait_seconds must be at least 0, got {self.device_wait_seconds}")


@dataclass(frozen=True)
class Lease:
    """An exclusive, expiring right to a device for one job. Tokens only grow: an old one is refused.

    ``model`` holds the file if it is small; otherwise the worker downloads it.
    """

    token: int
    job: Job
    model: bytes | None = None


@dataclass(frozen=True)
class RunReport:
    """What a worker saw when it ran a file: raw samples and evidence, no statistics.

    ``reference_before_ms`` and ``reference_after_ms`` are CPU times of the reference model's invocations in the
    same process, just before and just after the job's own model.
    """

    model_sha256: str
    runtime: str
    runtime_version: str
    threads: int
    delegate: Delegate
    samples_ms: tuple[float, ...]
    warmup_ms: tuple[float, ...]
    cpu_ms: tuple[float, ...]
    reference_before_ms: tuple[float, ...]
    reference_after_ms: tuple[float, ...]
    stopped_by: StopReason
    measured_at: float
    evidence: Mapping[str, EvidenceValue]
    operators: tuple[OperatorTime, ...] = ()


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


# Messages of a worker's stream, beside Introduction and Lease.


@dataclass(frozen=True)
class Heartbeat:
    """The worker is alive and holds the leases with these tokens."""

    tokens: tuple[int, ...]


@dataclass(frozen=True)
class LeaseResult:
    """How a lease's job ended; the worker sends it again after each reconnection until it is acknowledged."""

    token: int
    outcome: RunOutcome


@dataclass(frozen=True)
class Welcome:
    """The device is registered. A job may outlive a lost connection for ``lease_seconds``, then it is killed."""

    heartbeat_seconds: float
    lease_seconds: float


@dataclass(frozen=True)
class Acknowledgement:
    """The result under this token is durable, or void: either way the worker may forget it."""

    token: int


@dataclass(frozen=True)
class Revocation:
    """The lease is void; what runs under it is to be killed and its result would be refused."""

    token: int
    reason: str


WorkerMessage = Introduction | Heartbeat | LeaseResult
CoordinatorMessage = Welcome | Lease | Acknowledgement | Revocation


@dataclass(frozen=True)
class DeviceOrder:
    """What an operator tells the farm to do with a device, named by its id or by its name.

    ``recalibrate`` (with ``resume``): the next run of the reference model sets the device's baselines anew.
    """

    device: str
    action: DeviceAction
    reason: str = ""
    recalibrate: bool = False


def device_id_of(device_key: str) -> str:
    """The id of the device that holds this secret."""
    return hashlib.sha256(device_key.encode()).hexdigest()[:32]


def is_final(update: JobUpdate) -> bool:
    """Whether a job's update is its outcome."""
    return not isinstance(update, Queued | Running)


DEVICE_ID = "device_id"
"""A label that every device carries without being given it: a target with it means that very device."""


def unmet_demand(target: Target, device: Device | Registration) -> str | None:
    """Why the device cannot serve the target, or None if it can."""
    for key, wanted in target.labels.items():
        found = device.device_id if key == DEVICE_ID else device.labels.get(key)
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


def describe(target: Target) -> str:
    """The target in words, as in "soc=bcm2711, 4 threads, delegate xnnpack"."""
    labels = [f"{key}={value}" for key, value in sorted(target.labels.items())]
    runtime = [f"runtime {target.runtime}"] if target.runtime else []
    threads = f"{target.threads} thread" + ("s" if target.threads > 1 else "")
    return ", ".join([*labels, *runtime, threads, f"delegate {target.delegate}"])
