"""What the farm's users handle: targets, settings, measurements and errors, free of protobuf and gRPC."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, TypeVar, get_args

T = TypeVar("T")

Delegate = Literal["none", "xnnpack"]
DELEGATES: tuple[Delegate, ...] = get_args(Delegate)
DeviceState = Literal["idle", "busy", "offline"]
DEVICE_STATES: tuple[DeviceState, ...] = get_args(DeviceState)
EvidenceValue = str | float | int | bool | None  # None: could not be read

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
        labels: labels that the device must carry, such as ``{"soc": "bcm2711"}``; empty: any device.
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

    After ``warmup_invocations``, samples are taken until ``sampling_seconds`` are spent or there are
    ``max_invocations``, but never fewer than ``min_invocations`` (at least 6, so that the median has a 95 %
    interval). ``timeout_seconds`` covers the whole job, the interpreter's start included;
    ``memory_limit_mb`` is what the model may allocate beyond the idle interpreter.
    """

    warmup_invocations: int = 5
    min_invocations: int = 30
    max_invocations: int = 300
    sampling_seconds: float = 2.0
    timeout_seconds: float = 60.0
    memory_limit_mb: int = 1024

    def __post_init__(self) -> None:
        for name, low, high in (
            ("warmup_invocations", 0, MAX_INVOCATIONS),
            ("min_invocations", MIN_INVOCATIONS, MAX_INVOCATIONS),
            ("max_invocations", self.min_invocations, MAX_INVOCATIONS),
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
class Device:
    """A registered device, as its worker found it and as its owner labelled it."""

    device_id: str
    name: str
    device_class: str  # such as "raspberrypi-4b" or "x86_64 Intel Xeon ..."; part of a score's identity
    labels: Mapping[str, str]
    facts: Mapping[str, str]
    runtimes: tuple[Runtime, ...]
    state: DeviceState
    emulated: bool = False


@dataclass(frozen=True)
class Measurement:
    """Latency of one file on one device, with the evidence for it. Times are in milliseconds.

    ``latency_ms`` is the median of ``samples_ms``; ``interval_ms`` its distribution-free 95 % confidence
    interval from order statistics.
    """

    latency_ms: float
    interval_ms: tuple[float, float]
    samples_ms: tuple[float, ...]
    warmup_ms: tuple[float, ...]
    cpu_ms: tuple[float, ...]  # process CPU time of each sample, summed over threads
    model_sha256: str
    device_id: str
    device_name: str
    device_class: str
    emulated: bool
    runtime: str
    runtime_version: str
    threads: int
    delegate: Delegate
    measured_at: float  # seconds since the epoch, by the device's clock
    evidence: Mapping[str, EvidenceValue]


class FarmError(Exception):
    """Base of what the farm reports; subclasses say who acts next."""


class InfeasibleModel(FarmError):
    """The runtime cannot load or run this file; the message carries its own log. Do not retry."""


class MeasurementFailed(FarmError):
    """The job failed for a reason outside the model (worker lost, retries spent). May be tried again."""


class NoSuchDevice(FarmError):
    """No registered device satisfies the target; the message lists what the farm has."""


class FarmUnavailable(FarmError):
    """No coordinator answers at the address."""


def device_to_json(device: Device) -> dict[str, Any]:
    """A plain dict of the device, for ``json.dumps``."""
    return _plain(device)


def measurement_to_json(measurement: Measurement) -> dict[str, Any]:
    """A plain dict of the measurement, for ``json.dumps``; ``measurement_from_json`` reads it back."""
    return _plain(measurement)


def measurement_from_json(data: Mapping[str, Any]) -> Measurement:
    """The measurement that ``measurement_to_json`` wrote.

    Raises:
        ValueError: a key is missing, unknown, or holds a value of another type; the message names it.
    """
    names = [entry.name for entry in fields(Measurement)]
    missing = [name for name in names if name not in data]
    unknown = sorted(set(data) - set(names))
    if missing or unknown:
        raise ValueError(f"measurement: missing keys {missing}, unknown keys {unknown}; allowed are {names}")
    interval = _numbers(data, "interval_ms")
    if len(interval) != 2:
        raise ValueError(f"measurement: interval_ms must hold 2 numbers, got {len(interval)}")
    return Measurement(
        latency_ms=_number(data["latency_ms"], "latency_ms"),
        interval_ms=(interval[0], interval[1]),
        samples_ms=_numbers(data, "samples_ms"),
        warmup_ms=_numbers(data, "warmup_ms"),
        cpu_ms=_numbers(data, "cpu_ms"),
        model_sha256=_typed(data, "model_sha256", str),
        device_id=_typed(data, "device_id", str),
        device_name=_typed(data, "device_name", str),
        device_class=_typed(data, "device_class", str),
        emulated=_typed(data, "emulated", bool),
        runtime=_typed(data, "runtime", str),
        runtime_version=_typed(data, "runtime_version", str),
        threads=_typed(data, "threads", int),
        delegate=_delegate(data["delegate"]),
        measured_at=_number(data["measured_at"], "measured_at"),
        evidence=_evidence(data["evidence"]),
    )


def _plain(value: Device | Measurement) -> dict[str, Any]:
    """``asdict`` with tuples as lists, as JSON would give them back."""
    return asdict(value, dict_factory=lambda items: {key: _listed(item) for key, item in items})


def _listed(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_listed(item) for item in value]
    return dict(value) if isinstance(value, Mapping) else value


def _typed(data: Mapping[str, Any], key: str, kind: type[T]) -> T:
    value = data[key]
    if type(value) is not kind:
        raise ValueError(f"measurement: {key} must be {kind.__name__}, got {value!r}")
    return value


def _number(value: Any, key: str) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"measurement: {key} must be a finite number, got {value!r}")
    return float(value)


def _numbers(data: Mapping[str, Any], key: str) -> tuple[float, ...]:
    if not isinstance(data[key], list | tuple):
        raise ValueError(f"measurement: {key} must be a list of numbers, got {data[key]!r}")
    return tuple(_number(value, f"{key}[{index}]") for index, value in enumerate(data[key]))


def _delegate(value: Any) -> Delegate:
    for delegate in DELEGATES:
        if value == delegate:
            return delegate
    raise ValueError(f"measurement: delegate must be one of {', '.join(DELEGATES)}, got {value!r}")


def _evidence(value: Any) -> dict[str, EvidenceValue]:
    if not isinstance(value, Mapping):
        raise ValueError(f"measurement: evidence must be an object, got {value!r}")
    for key, item in value.items():
        if not isinstance(key, str) or type(item) not in (str, float, int, bool, type(None)):
            raise ValueError(f"measurement: evidence[{key!r}] must be text, number, true, false or null")
    return dict(value)
