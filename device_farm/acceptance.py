"""What the coordinator accepts from the outside: model files and workers' reports."""

import math

from device_farm.jobs import Job, Registration, RunReport, choose_runtime
from device_farm.statistics import median, median_interval
from device_farm.types import Measurement

TFLITE_IDENTIFIER = b"TFL3"
HEADER_BYTES = 8
MAX_MODEL_BYTES = 256 * 1024 * 1024


class RefusedModel(ValueError):
    """The bytes cannot be a TFLite file that this farm takes."""


class RefusedReport(ValueError):
    """A worker's report is no answer to the job it was given."""


def check_model_header(header: bytes) -> None:
    """Checks the first bytes of a file: a flatbuffer's root offset, then the identifier of TFLite.

    Raises:
        RefusedModel: says what was found instead.
    """
    if not header:
        raise RefusedModel("the model is empty (0 bytes)")
    if len(header) < HEADER_BYTES:
        raise RefusedModel(f"not a TFLite file: only {len(header)} bytes long")
    found = bytes(header[4:8])
    if found != TFLITE_IDENTIFIER:
        raise RefusedModel(f"not a TFLite file: bytes 4 to 8 are {found!r}, not {TFLITE_IDENTIFIER!r}")


def check_model_size(size: int, limit: int = MAX_MODEL_BYTES) -> None:
    """Raises RefusedModel when ``size`` bytes are more than the farm takes."""
    if size > limit:
        raise RefusedModel(f"the model is larger than the {limit / 2**20:.0f} MiB that the farm takes")


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
    return Measurement(
        latency_ms=median(report.samples_ms),
        interval_ms=median_interval(report.samples_ms),
        samples_ms=report.samples_ms,
        warmup_ms=report.warmup_ms,
        cpu_ms=report.cpu_ms,
        model_sha256=report.model_sha256,
        device_id=device.device_id,
        device_name=device.name,
        device_class=device.device_class,
        emulated=device.emulated,
        runtime=report.runtime,
        runtime_version=report.runtime_version,
        threads=report.threads,
        delegate=report.delegate,
        measured_at=report.measured_at,
        evidence=report.evidence,
    )


def _check_samples(report: RunReport, job: Job) -> None:
    settings = job.settings
    count = len(report.samples_ms)
    if not settings.min_invocations <= count <= settings.max_invocations:
        raise RefusedReport(
            f"{count} samples, wanted {settings.min_invocations} to {settings.max_invocations}"
        )
    if len(report.cpu_ms) != count or len(report.warmup_ms) != settings.warmup_invocations:
        raise RefusedReport(
            f"{len(report.cpu_ms)} CPU times and {len(report.warmup_ms)} warm-ups for {count} samples "
            f"and {settings.warmup_invocations} warm-ups"
        )
    for name, values in (("samples_ms", report.samples_ms), ("warmup_ms", report.warmup_ms)):
        for value in values:
            if not 0 < value < math.inf:
                raise RefusedReport(f"{name} holds {value}")
    for value in report.cpu_ms:
        if not 0 <= value < math.inf:  # a short invocation may fall between two ticks of the CPU clock
            raise RefusedReport(f"cpu_ms holds {value}")
    if not 0 <= report.measured_at < math.inf:
        raise RefusedReport(f"measured_at is {report.measured_at}")
