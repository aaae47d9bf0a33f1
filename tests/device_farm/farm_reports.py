"""Registrations, jobs and reports that scheduling tests speak of."""

from dataclasses import replace

from device_farm.jobs import Introduction, Job, Registration, RunReport, device_id_of
from device_farm.types import MeasurementSettings, Runtime, Target

SETTINGS = MeasurementSettings(min_invocations=6, max_invocations=6, timeout_seconds=30)
SIX = (3.0, 5.0, 1.0, 4.0, 2.0, 6.0)


def introduction(key: str = "d1", incarnation: str = "i1", held: tuple[int, ...] = (), **changes: object):
    """A worker's first words; the device's name and key are ``key``."""
    known = {
        "device_id": device_id_of(key),
        "name": f"board-{key}",
        "device_class": "raspberrypi-4b",
        "labels": {"soc": "bcm2711"},
        "facts": {"cores": "4"},
        "runtimes": (Runtime("tflite-2.14.0", "2.14.0", ("none", "xnnpack")),),
        "references_ms": {"tflite-2.14.0/xnnpack": (1.0,)},
    }
    return Introduction(Registration(**{**known, **changes}), key, incarnation, held)


def job(job_id: str = "a", **changes: object) -> Job:
    return replace(Job(job_id, "ab" * 32, Target(), SETTINGS, device_wait_seconds=5.0), **changes)


def report(samples: tuple[float, ...] = SIX, **changes: object) -> RunReport:
    known = RunReport(
        model_sha256="ab" * 32,
        runtime="tflite-2.14.0",
        runtime_version="2.14.0",
        threads=1,
        delegate="xnnpack",
        samples_ms=samples,
        warmup_ms=(),
        cpu_ms=samples,
        reference_before_ms=(1.0, 1.0, 1.0),
        reference_after_ms=(1.0, 1.0, 1.0),
        stopped_by="max_invocations",
        measured_at=1.0,
        evidence={},
    )
    return replace(known, **changes)
