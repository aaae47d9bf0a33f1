"""How jobs end: measurements, reports and their evidence, and what a client hears meanwhile."""

from collections.abc import Iterable, Mapping

from device_farm.convert.words import one_of
from device_farm.jobs import Cancelled, Failed, Infeasible, JobUpdate, NoDevice, Queued, Running, RunReport
from device_farm.rpc import farm_pb2 as pb
from device_farm.types import DELEGATES, STOP_REASONS, EvidenceValue, Measurement, OperatorTime


def update_to_wire(update: JobUpdate) -> pb.JobUpdate:
    match update:
        case Queued(reason):
            return pb.JobUpdate(queued=pb.Queued(reason=reason))
        case Running(device_name):
            return pb.JobUpdate(running=pb.Running(device_name=device_name))
        case Measurement():
            return pb.JobUpdate(measurement=_measurement_to_wire(update))
        case Infeasible(message):
            return pb.JobUpdate(infeasible=pb.Infeasible(message=message))
        case Failed(message, retryable):
            return pb.JobUpdate(failed=pb.Failed(message=message, retryable=retryable))
        case NoDevice(message):
            return pb.JobUpdate(no_device=pb.NoDevice(message=message))
        case cancelled:
            return pb.JobUpdate(cancelled=pb.Cancelled(message=cancelled.message))


def update_from_wire(message: pb.JobUpdate) -> JobUpdate:
    match message.WhichOneof("update"):
        case "queued":
            return Queued(message.queued.reason)
        case "running":
            return Running(message.running.device_name)
        case "measurement":
            return _measurement_from_wire(message.measurement)
        case "infeasible":
            return Infeasible(message.infeasible.message)
        case "failed":
            return Failed(message.failed.message, message.failed.retryable)
        case "no_device":
            return NoDevice(message.no_device.message)
        case "cancelled":
            return Cancelled(message.cancelled.message)
        case other:
            raise ValueError(f"job update of unknown kind {other}")


def update_to_bytes(update: JobUpdate) -> bytes:
    """The update as the coordinator keeps it."""
    return update_to_wire(update).SerializeToString()


def update_from_bytes(data: bytes) -> JobUpdate:
    return update_from_wire(pb.JobUpdate.FromString(data))


def _measurement_to_wire(measurement: Measurement) -> pb.Measurement:
    interval = measurement.interval_ms
    return pb.Measurement(
        report=report_to_wire(measurement),
        latency_ms=measurement.latency_ms,
        interval_ms=None if interval is None else pb.Interval(low=interval[0], high=interval[1]),
        effective_samples=measurement.effective_samples,
        device_id=measurement.device_id,
        device_name=measurement.device_name,
        device_class=measurement.device_class,
        emulated=measurement.emulated,
        profile=measurement.profile,
        cached=measurement.cached,
    )


def _measurement_from_wire(message: pb.Measurement) -> Measurement:
    report, stable = message.report, message.HasField("interval_ms")
    return Measurement(
        latency_ms=message.latency_ms,
        interval_ms=(message.interval_ms.low, message.interval_ms.high) if stable else None,
        stable=stable,
        effective_samples=message.effective_samples,
        stopped_by=one_of(STOP_REASONS, report.stopped_by, "stopped_by"),
        samples_ms=tuple(report.samples_ms),
        warmup_ms=tuple(report.warmup_ms),
        cpu_ms=tuple(report.cpu_ms),
        model_sha256=report.model_sha256,
        device_id=message.device_id,
        device_name=message.device_name,
        device_class=message.device_class,
        emulated=message.emulated,
        profile=message.profile,
        runtime=report.runtime,
        runtime_version=report.runtime_version,
        threads=report.threads,
        delegate=one_of(DELEGATES, report.delegate, "delegate"),
        measured_at=report.measured_at,
        evidence=_evidence_from_wire(report.evidence),
        cached=message.cached,
        operators=_operators_from_wire(report.operators),
    )


def report_to_wire(report: RunReport | Measurement) -> pb.RunReport:
    wire = pb.RunReport(
        model_sha256=report.model_sha256,
        runtime=report.runtime,
        runtime_version=report.runtime_version,
        threads=report.threads,
        delegate=report.delegate,
        samples_ms=report.samples_ms,
        warmup_ms=report.warmup_ms,
        cpu_ms=report.cpu_ms,
        stopped_by=report.stopped_by,
        measured_at=report.measured_at,
        evidence={key: _evidence_to_wire(value) for key, value in report.evidence.items()},
        operators=[pb.OperatorTime(**vars(operator)) for operator in report.operators],
    )
    if isinstance(report, RunReport):
        wire.reference_before_ms.extend(report.reference_before_ms)
        wire.reference_after_ms.extend(report.reference_after_ms)
    return wire


def report_from_wire(message: pb.RunReport) -> RunReport:
    return RunReport(
        model_sha256=message.model_sha256,
        runtime=message.runtime,
        runtime_version=message.runtime_version,
        threads=message.threads,
        delegate=one_of(DELEGATES, message.delegate, "delegate"),
        samples_ms=tuple(message.samples_ms),
        warmup_ms=tuple(message.warmup_ms),
        cpu_ms=tuple(message.cpu_ms),
        reference_before_ms=tuple(message.reference_before_ms),
        reference_after_ms=tuple(message.reference_after_ms),
        stopped_by=one_of(STOP_REASONS, message.stopped_by, "stopped_by"),
        measured_at=message.measured_at,
        evidence=_evidence_from_wire(message.evidence),
        operators=_operators_from_wire(message.operators),
    )


def _operators_from_wire(messages: Iterable[pb.OperatorTime]) -> tuple[OperatorTime, ...]:
    return tuple(OperatorTime(entry.index, entry.name, entry.output, entry.time_ms) for entry in messages)


def _evidence_to_wire(value: EvidenceValue) -> pb.EvidenceValue:
    match value:
        case None:
            return pb.EvidenceValue()
        case bool():  # before int, which bool is a kind of
            return pb.EvidenceValue(flag=value)
        case int():
            return pb.EvidenceValue(integer=value)
        case float():
            return pb.EvidenceValue(number=value)
        case tuple():
            return pb.EvidenceValue(numbers=pb.Numbers(values=value))
        case text:
            return pb.EvidenceValue(text=text)


def _evidence_from_wire(messages: Mapping[str, pb.EvidenceValue]) -> dict[str, EvidenceValue]:
    found: dict[str, EvidenceValue] = {}
    for key in sorted(messages):
        kind = messages[key].WhichOneof("value")
        if kind == "numbers":
            found[key] = tuple(messages[key].numbers.values)
        else:
            found[key] = None if kind is None else getattr(messages[key], kind)
    return found
