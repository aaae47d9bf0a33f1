"""Between the wire and the dataclasses: the only module that knows protobuf messages.

``*_to_wire`` never fails; ``*_from_wire`` raises ValueError for a message that makes no sense, because the
other side may be older, newer or broken.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from device_farm.jobs import (
    DEVICE_ACTIONS,
    Acknowledgement,
    Cancelled,
    CoordinatorMessage,
    DeviceOrder,
    Failed,
    Heartbeat,
    Infeasible,
    Introduction,
    Job,
    JobUpdate,
    Lease,
    LeaseResult,
    NoDevice,
    Queued,
    Registration,
    Revocation,
    Running,
    RunReport,
    Welcome,
    WorkerMessage,
)
from device_farm.rpc import farm_pb2 as pb
from device_farm.types import (
    DELEGATES,
    DEVICE_STATES,
    STANDINGS,
    STOP_REASONS,
    Device,
    EvidenceValue,
    JobRecord,
    Measurement,
    MeasurementSettings,
    OperatorTime,
    Reference,
    Runtime,
    StoryEntry,
    Target,
)

W = TypeVar("W", bound=str)

CHUNK_BYTES = 64 * 1024

# Model files


def chunks_to_wire(data: bytes) -> Iterator[pb.ModelChunk]:
    """The bytes in messages of 64 KiB: gRPC refuses messages above 4 MB. Empty data is one empty chunk."""
    view = memoryview(data)
    for start in range(0, max(len(data), 1), CHUNK_BYTES):
        yield pb.ModelChunk(data=bytes(view[start : start + CHUNK_BYTES]))


# Jobs


def job_to_wire(job: Job) -> pb.Job:
    return pb.Job(
        job_id=job.job_id,
        model_sha256=job.model_sha256,
        target=_target_to_wire(job.target),
        settings=pb.MeasurementSettings(**vars(job.settings)),
        priority=job.priority,
        device_wait_seconds=job.device_wait_seconds,
        fresh=job.fresh,
        profile_operators=job.profile_operators,
        detached=job.detached,
    )


def job_from_wire(message: pb.Job) -> Job:
    settings = message.settings
    return Job(
        job_id=message.job_id,
        model_sha256=message.model_sha256,
        target=_target_from_wire(message.target),
        settings=MeasurementSettings(
            interval_width=settings.interval_width,
            min_invocations=settings.min_invocations,
            max_invocations=settings.max_invocations,
            warmup_seconds=settings.warmup_seconds,
            sampling_seconds=settings.sampling_seconds,
            timeout_seconds=settings.timeout_seconds,
            memory_limit_mb=settings.memory_limit_mb,
        ),
        priority=message.priority,
        device_wait_seconds=message.device_wait_seconds,
        fresh=message.fresh,
        profile_operators=message.profile_operators,
        detached=message.detached,
    )


def job_to_bytes(job: Job) -> bytes:
    """The job as the coordinator keeps it."""
    return job_to_wire(job).SerializeToString()


def job_from_bytes(data: bytes) -> Job:
    return job_from_wire(pb.Job.FromString(data))


def _target_to_wire(target: Target) -> pb.Target:
    return pb.Target(
        labels=dict(target.labels), runtime=target.runtime, threads=target.threads, delegate=target.delegate
    )


def _target_from_wire(message: pb.Target) -> Target:
    return Target(
        labels=dict(message.labels),
        runtime=message.runtime,
        threads=message.threads,
        delegate=_one_of(DELEGATES, message.delegate, "delegate"),
    )


def record_to_wire(record: JobRecord) -> pb.JobRecord:
    return pb.JobRecord(
        job_id=record.job_id,
        state=record.state,
        submitted_at=record.submitted_at,
        model_sha256=record.model_sha256,
        target=_target_to_wire(record.target),
        priority=record.priority,
        latency_ms=record.latency_ms,
        message=record.message,
        story=[pb.StoryEntry(at=entry.at, text=entry.text) for entry in record.story],
    )


def record_from_wire(message: pb.JobRecord) -> JobRecord:
    return JobRecord(
        job_id=message.job_id,
        state=message.state,
        submitted_at=message.submitted_at,
        model_sha256=message.model_sha256,
        target=_target_from_wire(message.target),
        priority=message.priority,
        latency_ms=message.latency_ms if message.HasField("latency_ms") else None,
        message=message.message,
        story=tuple(StoryEntry(entry.at, entry.text) for entry in message.story),
    )


# What a client hears of its job


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


# Measurements and reports


def _measurement_to_wire(measurement: Measurement) -> pb.Measurement:
    interval = measurement.interval_ms
    return pb.Measurement(
        report=_report_to_wire(measurement),
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
        stopped_by=_one_of(STOP_REASONS, report.stopped_by, "stopped_by"),
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
        delegate=_one_of(DELEGATES, report.delegate, "delegate"),
        measured_at=report.measured_at,
        evidence=_evidence_from_wire(report.evidence),
        cached=message.cached,
        operators=_operators_from_wire(report.operators),
    )


def _report_to_wire(report: RunReport | Measurement) -> pb.RunReport:
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


def _report_from_wire(message: pb.RunReport) -> RunReport:
    return RunReport(
        model_sha256=message.model_sha256,
        runtime=message.runtime,
        runtime_version=message.runtime_version,
        threads=message.threads,
        delegate=_one_of(DELEGATES, message.delegate, "delegate"),
        samples_ms=tuple(message.samples_ms),
        warmup_ms=tuple(message.warmup_ms),
        cpu_ms=tuple(message.cpu_ms),
        reference_before_ms=tuple(message.reference_before_ms),
        reference_after_ms=tuple(message.reference_after_ms),
        stopped_by=_one_of(STOP_REASONS, message.stopped_by, "stopped_by"),
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


# Devices


def registration_to_wire(registration: Registration) -> pb.Registration:
    return pb.Registration(
        device_id=registration.device_id,
        name=registration.name,
        device_class=registration.device_class,
        labels=dict(registration.labels),
        facts=dict(registration.facts),
        runtimes=[
            pb.Runtime(name=runtime.name, version=runtime.version, delegates=runtime.delegates)
            for runtime in registration.runtimes
        ],
        emulated=registration.emulated,
        profile=registration.profile,
        references_ms={key: pb.Numbers(values=times) for key, times in registration.references_ms.items()},
    )


def registration_from_wire(message: pb.Registration) -> Registration:
    return Registration(
        device_id=message.device_id,
        name=message.name,
        device_class=message.device_class,
        labels=dict(message.labels),
        facts=dict(message.facts),
        runtimes=tuple(
            Runtime(
                runtime.name,
                runtime.version,
                tuple(_one_of(DELEGATES, name, "delegate") for name in runtime.delegates),
            )
            for runtime in message.runtimes
        ),
        emulated=message.emulated,
        profile=message.profile,
        references_ms={key: tuple(times.values) for key, times in message.references_ms.items()},
    )


def registration_to_bytes(registration: Registration) -> bytes:
    """The registration as the coordinator keeps it."""
    return registration_to_wire(registration).SerializeToString()


def registration_from_bytes(data: bytes) -> Registration:
    return registration_from_wire(pb.Registration.FromString(data))


def devices_to_wire(devices: Iterable[Device]) -> pb.ListDevicesResponse:
    return pb.ListDevicesResponse(devices=[_device_to_wire(device) for device in devices])


def devices_from_wire(message: pb.ListDevicesResponse) -> tuple[Device, ...]:
    return tuple(_device_from_wire(device) for device in message.devices)


def _device_to_wire(device: Device) -> pb.Device:
    registration = Registration(
        device_id=device.device_id,
        name=device.name,
        device_class=device.device_class,
        labels=device.labels,
        facts=device.facts,
        runtimes=device.runtimes,
        emulated=device.emulated,
        profile=device.profile,
    )
    return pb.Device(
        registration=registration_to_wire(registration),
        state=device.state,
        standing=device.standing,
        standing_reason=device.standing_reason,
        references={key: pb.Reference(**vars(entry)) for key, entry in device.references.items()},
    )


def _device_from_wire(message: pb.Device) -> Device:
    known = registration_from_wire(message.registration)
    return Device(
        device_id=known.device_id,
        name=known.name,
        device_class=known.device_class,
        labels=known.labels,
        facts=known.facts,
        runtimes=known.runtimes,
        state=_one_of(DEVICE_STATES, message.state, "device state"),
        emulated=known.emulated,
        profile=known.profile,
        standing=_one_of(STANDINGS, message.standing, "standing"),
        standing_reason=message.standing_reason,
        references={
            key: Reference(entry.baseline_ms, entry.recent_ms, entry.scale)
            for key, entry in sorted(message.references.items())
        },
    )


def order_to_wire(order: DeviceOrder) -> pb.DeviceOrder:
    return pb.DeviceOrder(**vars(order))


def order_from_wire(message: pb.DeviceOrder) -> DeviceOrder:
    action = _one_of(DEVICE_ACTIONS, message.action, "action")
    return DeviceOrder(message.device, action, message.reason, message.recalibrate)


# The worker's stream


def worker_message_to_wire(message: WorkerMessage) -> pb.WorkerMessage:
    match message:
        case Introduction(registration, device_key, incarnation, held):
            introduction = pb.Introduction(
                registration=registration_to_wire(registration),
                device_key=device_key,
                incarnation=incarnation,
                held=held,
            )
            return pb.WorkerMessage(introduction=introduction)
        case Heartbeat(tokens):
            return pb.WorkerMessage(heartbeat=pb.Heartbeat(tokens=tokens))
        case LeaseResult(token, RunReport() as report):
            return pb.WorkerMessage(result=pb.LeaseResult(token=token, report=_report_to_wire(report)))
        case LeaseResult(token, Infeasible(text)):
            return pb.WorkerMessage(
                result=pb.LeaseResult(token=token, infeasible=pb.Infeasible(message=text))
            )
        case LeaseResult(token, Failed(text, retryable)):
            failed = pb.Failed(message=text, retryable=retryable)
            return pb.WorkerMessage(result=pb.LeaseResult(token=token, failed=failed))
        case other:
            raise TypeError(f"not a worker's message: {other!r}")


def worker_message_from_wire(message: pb.WorkerMessage) -> WorkerMessage:
    match message.WhichOneof("message"):
        case "introduction":
            introduction = message.introduction
            return Introduction(
                registration_from_wire(introduction.registration),
                introduction.device_key,
                introduction.incarnation,
                tuple(introduction.held),
            )
        case "heartbeat":
            return Heartbeat(tuple(message.heartbeat.tokens))
        case "result":
            return _result_from_wire(message.result)
        case other:
            raise ValueError(f"worker message of unknown kind {other}")


def _result_from_wire(message: pb.LeaseResult) -> LeaseResult:
    match message.WhichOneof("outcome"):
        case "report":
            return LeaseResult(message.token, _report_from_wire(message.report))
        case "infeasible":
            return LeaseResult(message.token, Infeasible(message.infeasible.message))
        case "failed":
            return LeaseResult(message.token, Failed(message.failed.message, message.failed.retryable))
        case other:
            raise ValueError(f"lease result of unknown kind {other}")


def coordinator_message_to_wire(message: CoordinatorMessage) -> pb.CoordinatorMessage:
    match message:
        case Welcome(heartbeat_seconds, lease_seconds):
            welcome = pb.Welcome(heartbeat_seconds=heartbeat_seconds, lease_seconds=lease_seconds)
            return pb.CoordinatorMessage(welcome=welcome)
        case Lease(token, job, model):
            lease = pb.Lease(token=token, job=job_to_wire(job), model=model or b"")
            return pb.CoordinatorMessage(lease=lease)
        case Acknowledgement(token):
            return pb.CoordinatorMessage(acknowledgement=pb.Acknowledgement(token=token))
        case revocation:
            return pb.CoordinatorMessage(
                revocation=pb.Revocation(token=revocation.token, reason=revocation.reason)
            )


def coordinator_message_from_wire(message: pb.CoordinatorMessage) -> CoordinatorMessage:
    match message.WhichOneof("message"):
        case "welcome":
            return Welcome(message.welcome.heartbeat_seconds, message.welcome.lease_seconds)
        case "lease":
            lease = message.lease
            return Lease(lease.token, job_from_wire(lease.job), lease.model or None)
        case "acknowledgement":
            return Acknowledgement(message.acknowledgement.token)
        case "revocation":
            return Revocation(message.revocation.token, message.revocation.reason)
        case other:
            raise ValueError(f"coordinator message of unknown kind {other}")


def _one_of(allowed: tuple[W, ...], found: str, what: str) -> W:
    """``found`` as one of the words that are allowed; raises ValueError naming them."""
    for word in allowed:
        if found == word:
            return word
    raise ValueError(f"{what} must be one of {', '.join(allowed)}, got {found!r}")
