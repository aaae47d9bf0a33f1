"""What the farm's users handle: targets, settings, measurements and errors, free of protobuf and gRPC."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Delegate = Literal["none", "xnnpack"]


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


@dataclass(frozen=True)
class MeasurementSettings:
    """How samples are taken. Times are wall-clock bounds of one job on the device."""

    warmup_invocations: int = 5
    min_invocations: int = 30
    max_invocations: int = 300
    sampling_seconds: float = 2.0
    timeout_seconds: float = 60.0
    memory_limit_mb: int = 1024


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
    state: Literal["idle", "busy", "offline"]
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
    evidence: Mapping[str, str | float | int | bool | None]  # None: could not be read


class FarmError(Exception):
    """Base of what the farm reports; subclasses say who acts next."""


class InfeasibleModel(FarmError):
    """The runtime cannot load or run this file; the message carries the interpreter's own log. Do not retry."""


class MeasurementFailed(FarmError):
    """The job failed for a reason outside the model (worker lost, retries spent). May be tried again."""


class NoSuchDevice(FarmError):
    """No registered device satisfies the target; the message lists what the farm has."""


class FarmUnavailable(FarmError):
    """No coordinator answers at the address."""
