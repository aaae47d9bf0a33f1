"""What the coordinator accepts from workers: registrations and reports."""

import math
from statistics import median

from device_farm.jobs import Job, Registration, RunReport, choose_runtime
from device_farm.measuring.profiles import PROFILES, Profile, violations
from device_farm.measuring.statistics import assess
from device_farm.types import Measurement


class RefusedReport(ValueError):
    """A worker's report is no answer to the job it was given."""


def check_registration(registration: Registration) -> None:
    """Raises ValueError if the registration names an unknown profile or holds impossible reference times."""
    if registration.profile not in PROFILES:
        allowed = ", ".join(PROFILES)
        raise ValueError(
            f"registration of {registration.name}: profile must be one of {allowed}, got {registration.profile!r}"
        )
    for key, times_ms in registration.references_ms.items():
        if not times_ms or not all(0 < value < math.inf for value in times_ms):
            raise ValueError(f"registration of {registration.name}: references_ms of {key} are {times_ms}")


def accept_report(report: RunReport, job: Job, device: Registration) -> Measurement:
    """The measurement that a report proves; the device's identity is taken from its registration.

    Raises:
        RefusedReport: another job's answer, other conditions than asked for, or impossible samples.
    """
    runtime = choose_runtime(job.target, device.runtimes)
    asked = (job.model_sha256, runtime, job.target.threads, job.target.delegate)
    named = next((known for known in device.runtimes if known.name == report.runtime), None)
    found = (report.model_sha256, named, report.threads, report.delegate)
    if asked != found or (named is not None and named.version != report.runtime_version):
        raise RefusedReport(f"answers another question: asked for {asked}, answered {found}")
    _check_samples(report, job)
    assessment = assess(report.samples_ms, job.settings.interval_width)
    references = {
        "reference_before_ms": median(report.reference_before_ms),
        "reference_after_ms": median(report.reference_after_ms),
    }
    return Measurement(
        latency_ms=assessment.median_ms,
        interval_ms=assessment.interval_ms,
        stable=assessment.stable,
        effective_samples=assessment.effective_samples,
        stopped_by=report.stopped_by,
        samples_ms=report.samples_ms,
        warmup_ms=report.warmup_ms,
        cpu_ms=report.cpu_ms,
        model_sha256=report.model_sha256,
        device_id=device.device_id,
        device_name=device.name,
        device_class=device.device_class,
        emulated=device.emulated,
        profile=device.profile,
        runtime=report.runtime,
        runtime_version=report.runtime_version,
        threads=report.threads,
        delegate=report.delegate,
        measured_at=report.measured_at,
        evidence={**report.evidence, **references},
        operators=report.operators,
    )


def why_invalid(report: RunReport, profile: Profile) -> str | None:
    """The rules of the device's profile that the report's evidence breaks, in words; None: it is valid."""
    found = violations(profile, report.evidence, report.cpu_ms, report.samples_ms, report.threads)
    return "; ".join(violation.text for violation in found) or None


def _check_samples(report: RunReport, job: Job) -> None:
    settings = job.settings
    count = len(report.samples_ms)
    if not settings.min_invocations <= count <= settings.max_invocations:
        raise RefusedReport(
            f"{count} samples, wanted {settings.min_invocations} to {settings.max_invocations}"
        )
    if len(report.cpu_ms) != count:
        raise RefusedReport(f"{len(report.cpu_ms)} CPU times for {count} samples")
    for name in ("samples_ms", "reference_before_ms", "reference_after_ms", "warmup_ms"):
        values: tuple[float, ...] = getattr(report, name)
        if not values and name != "warmup_ms":
            raise RefusedReport(f"{name} is empty")
        for value in values:
            if not 0 < value < math.inf:
                raise RefusedReport(f"{name} holds {value}")
    for value in report.cpu_ms:
        if not 0 <= value < math.inf:  # a short invocation may fall between two ticks of the CPU clock
            raise RefusedReport(f"cpu_ms holds {value}")
    if not 0 <= report.measured_at < math.inf:
        raise RefusedReport(f"measured_at is {report.measured_at}")
