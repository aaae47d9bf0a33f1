"""What the farm's users handle: targets, settings, measurements and errors, free of protobuf and gRPC."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

Delegate = Literal["none", "xnnpack"]
DELEGATES: tuple[Delegate, ...] = get_args(Delegate)
DeviceState = Literal["idle", "busy", "cooling", "offline"]
DEVICE_STATES: tuple[DeviceState, ...] = get_args(DeviceState)
Standing = Literal["active", "draining", "quarantined"]
STANDINGS: tuple[Standing, ...] = get_args(Standing)
StopReason = Literal["interval", "sampling_seconds", "max_invocations"]
STOP_REASONS: tuple[StopReason, ...] = get_args(StopReason)
EvidenceValue = str | float | int | bool | None | tuple[float, ...]  # None: could not be read

# Fewer samples than this have no distribution-free 95 % interval for their median: 1 - 2 / 2**5 < 0.95.
MIN_INVOCATIONS = 6
MAX_INVOCATIONS = 100_000
MAX_THREADS = 1024
MAX_SECONDS = 86_400.0
MAX_MEMORY_MB = 1_048_576


@dataclass(frozen=True)
class Target:
    """What a latency is measured on; latencies of different targets are never comparable.

    Attributes:
        labels: labels that the device must carry, such as ``{"soc": "bcm2711"}``; empty: any device. The label
            ``device_id`` means the one device of that id.
        runtime: name of a runtime that the device offers, such as ``tflite-2.14.0``; empty: its default.
        threads: interpreter threads, at least 1.
        delegate: ``xnnpack`` or ``none`` (the interpreter's built-in kernels).
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    runtime: str = ""
    threads: int = 1
    delegate: Delegate = "xnnpack"

    def __post_init__(self) -> None:
        if not 1 <= self.threads <= MAX_THREADS:
            raise ValueError(f"target: threads must be 1 to {MAX_THREADS}, got {self.threads}")
        if self.delegate not in DELEGATES:
            raise ValueError(f"target: delegate must be one of {', '.join(DELEGATES)}, got {self.delegate!r}")


@dataclass(frozen=True)
class MeasurementSettings:
    """How samples are taken. Times are wall-clock bounds of one job on the device.

    After a warm-up that ends when the samples settle, or after ``warmup_seconds``, invocations are sampled
    until the 95 % confidence interval of their median is narrow enough: (high - low) / median at most
    ``interval_width``. ``sampling_seconds`` and ``max_invocations`` are the budget; ``min_invocations`` (at
    least 6, so that the median has a 95 % interval) are taken in any case. ``timeout_seconds`` covers the
    whole job, the interpreter's start included; ``memory_limit_mb`` is what the model may allocate beyond the
    idle interpreter.
    """

    interval_width: float = 0.01
    min_invocations: int = 30
    max_invocations: int = 2000
    warmup_seconds: float = 2.0
    sampling_seconds: float = 10.0
    timeout_seconds: float = 120.0
    memory_limit_mb: int = 1024

    def __post_init__(self) -> None:
        for name, low, high in (
            ("interval_width", 0.0001, 1.0),
            ("min_invocations", MIN_INVOCATIONS, MAX_INVOCATIONS),
            ("max_invocations", self.min_invocations, MAX_INVOCATIONS),
            ("warmup_seconds", 0, MAX_SECONDS),
            ("sampling_seconds", 0, MAX_SECONDS),
            ("timeout_seconds", 0.001, MAX_SECONDS),
            ("memory_limit_mb", 1, MAX_MEMORY_MB),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"measurement settings: {name} must be {low} to {high}, got {value}")


@dataclass(frozen=True)
class Runtime:
    """A TFLite interpreter that a device offers."""

    name: str  # such as "tflite-2.14.0"
    version: str  # such as "2.14.0"
    delegates: tuple[Delegate, ...]


@dataclass(frozen=True)
class Reference:
    """CPU time of the reference model on a device under one runtime and delegate; medians.

    ``baseline_ms`` was measured when the device joined for the first time (or was told to calibrate anew),
    ``recent_ms`` beside its last job. ``scale`` is the baseline over the median of all devices of its class:
    above 1 is a slower board.
    """

    baseline_ms: float
    recent_ms: float
    scale: float


@dataclass(frozen=True)
class Device:
    """A registered device, as its worker found it and as its owner labelled it.

    ``state`` is what the device does now; ``standing`` whether it may get jobs: a ``draining`` device ends the
    one that it has, a ``quarantined`` one is not trusted; ``standing_reason`` says why. ``references`` are by
    "RUNTIME/DELEGATE".
    """

    device_id: str
    name: str
    device_class: str  # such as "raspberrypi-4b" or "x86_64 Intel Xeon ..."; part of a score's identity
    labels: Mapping[str, str]
    facts: Mapping[str, str]
    runtimes: tuple[Runtime, ...]
    state: DeviceState
    emulated: bool = False
    profile: str = "generic"
    standing: Standing = "active"
    standing_reason: str = ""
    references: Mapping[str, Reference] = field(default_factory=dict)


@dataclass(frozen=True)
class OperatorTime:
    """One operator's share of an invocation."""

    index: int
    name: str  # such as "CONV_2D"
    output: str  # name of its first output tensor
    time_ms: float


@dataclass(frozen=True)
class Measurement:
    """Latency of one file on one device, with the evidence for it. Times are in milliseconds.

    Attributes:
        latency_ms: the median of ``samples_ms``.
        interval_ms: its 95 % confidence interval, serial correlation accounted for; None: the samples drift,
            so that there is no one latency to speak of (``stable`` is False).
        effective_samples: how many independent samples the correlated ones are worth.
        stopped_by: what ended the sampling; "interval" if it became as narrow as asked.
        cpu_ms: process CPU time of each sample, summed over threads.
        profile: the device profile whose rules the evidence was held against.
        measured_at: seconds since the epoch, by the device's clock.
        cached: the answer to an earlier job for the same file, device class, runtime and settings.
        operators: time per operator, where asked for.
    """

    latency_ms: float
    interval_ms: tuple[float, float] | None
    stable: bool
    effective_samples: float
    stopped_by: StopReason
    samples_ms: tuple[float, ...]
    warmup_ms: tuple[float, ...]
    cpu_ms: tuple[float, ...]
    model_sha256: str
    device_id: str
    device_name: str
    device_class: str
    emulated: bool
    profile: str
    runtime: str
    runtime_version: str
    threads: int
    delegate: Delegate
    measured_at: float
    evidence: Mapping[str, EvidenceValue]
    cached: bool = False
    operators: tuple[OperatorTime, ...] = ()


@dataclass(frozen=True)
class StoryEntry:
    """One thing that happened to a job; ``at`` is the coordinator's clock, seconds since the epoch."""

    at: float
    text: str


@dataclass(frozen=True)
class JobRecord:
    """A job as the coordinator remembers it. ``state`` is queued, running, or how it ended.

    ``latency_ms`` is there if it ended in a measurement, ``message`` if in anything else.
    """

    job_id: str
    state: str
    submitted_at: float
    model_sha256: str
    target: Target
    priority: int
    latency_ms: float | None
    message: str
    story: tuple[StoryEntry, ...] = ()


class FarmError(Exception):
    """Base of what the farm reports; subclasses say who acts next."""


class InfeasibleModel(FarmError):
    """The runtime cannot load or run this file; the message carries its own log. Do not retry."""


class MeasurementFailed(FarmError):
    """The job failed for a reason outside the model (worker lost, retries spent). May be tried again."""


class NoSuchDevice(FarmError):
    """No registered device satisfies the target; the message lists what the farm has."""


class FarmUnavailable(FarmError):
    """No coordinator answers at the address, or it refuses this client."""


class OrderRefused(FarmError):
    """An operator's order that makes no sense now; the message says why."""


class NoSuchJob(FarmError):
    """The farm knows no job with this id."""


def device_to_json(device: Device) -> dict[str, Any]:
    """A plain dict of the device, for ``json.dumps``."""
    return _plain(device)


def measurement_to_json(measurement: Measurement) -> dict[str, Any]:
    """A plain dict of the measurement, for ``json.dumps``."""
    return _plain(measurement)


def job_to_json(record: JobRecord) -> dict[str, Any]:
    """A plain dict of the job and its story, for ``json.dumps``."""
    return _plain(record)


def _plain(value: Device | Measurement | JobRecord) -> dict[str, Any]:
    """``asdict`` with tuples as lists, as JSON would give them back."""
    return asdict(value, dict_factory=lambda items: {key: _listed(item) for key, item in items})


def _listed(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_listed(item) for item in value]
    return dict(value) if isinstance(value, Mapping) else value
