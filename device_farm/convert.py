"""Between the wire and the dataclasses: the only module that knows protobuf messages.

``*_to_wire`` never fails; ``*_from_wire`` raises ValueError for a message that makes no sense, because the
other side may be older, newer or broken.
"""

from collections.abc import Iterable, Iterator, Mapping

from device_farm.jobs import (
    CoordinatorMessage,
    Failed,
    Heartbeat,
    Infeasible,
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
    Delegate,
    Device,
    DeviceState,
    EvidenceValue,
    Measurement,
    MeasurementSettings,
    Runtime,
    Target,
)

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
        target=pb.Target(
            labels=dict(job.target.labels),
            runtime=job.target.runtime,
            threads=job.target.threads,
            delegate=job.target.delegate,
        ),
        settings=pb.MeasurementSettings(**vars(job.settings)),
        priority=job.priority,
        device_wait_seconds=job.device_wait_seconds,
    )


def job_from_wire(message: pb.Job) -> Job:
    target, settings = message.target, message.settings
    return Job(
        job_id=message.job_id,
        model_sha256=message.model_sha256,
        target=Target(
            labels=dict(target.labels),
            runtime=target.runtime,
            threads=target.threads,
            delegate=_delegate(target.delegate),
        ),
        settings=MeasurementSettings(
            warmup_invocations=settings.warmup_invocations,
            min_invocations=settings.min_invocations,
            max_invocations=settings.max_invocations,
            sampling_seconds=settings.sampling_seconds,
            timeout_seconds=settings.timeout_seconds,
            memory_limit_mb=settings.memory_limit_mb,
        ),
        priority=message.priority,
        device_wait_seconds=message.device_wait_seconds,
    )


def measure_request(job: Job) -> pb.MeasureRequest:
    return pb.MeasureRequest(job=job_to_wire(job))


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
            return pb.JobUpdate(failed=pb.Failed(message=f"cancelled: {cancelled.message}"))


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
        case other:
            raise ValueError(f"job update of unknown kind {other}")


def _measurement_to_wire(measurement: Measurement) -> pb.Measurement:
    low, high = measurement.interval_ms
    return pb.Measurement(
        report=_report_to_wire(measurement),
        latency_ms=measurement.latency_ms,
        interval_low_ms=low,
        interval_high_ms=high,
        device_id=measurement.device_id,
        device_name=measurement.device_name,
        device_class=measurement.device_class,
        emulated=measurement.emulated,
    )


def _measurement_from_wire(message: pb.Measurement) -> Measurement:
    report = _report_from_wire(message.report)
    return Measurement(
        **vars(report),
        latency_ms=message.latency_ms,
        interval_ms=(message.interval_low_ms, message.interval_high_ms),
        device_id=message.device_id,
        device_name=message.device_name,
        device_class=message.device_class,
        emulated=message.emulated,
    )


def _report_to_wire(report: RunReport | Measurement) -> pb.RunReport:
    return pb.RunReport(
        model_sha256=report.model_sha256,
        runtime=report.runtime,
        runtime_version=report.runtime_version,
        threads=report.threads,
        delegate=report.delegate,
        samples_ms=report.samples_ms,
        warmup_ms=report.warmup_ms,
        cpu_ms=report.cpu_ms,
        measured_at=report.measured_at,
        evidence={key: _evidence_to_wire(value) for key, value in report.evidence.items()},
    )


def _report_from_wire(message: pb.RunReport) -> RunReport:
    return RunReport(
        model_sha256=message.model_sha256,
        runtime=message.runtime,
        runtime_version=message.runtime_version,
        threads=message.threads,
        delegate=_delegate(message.delegate),
        samples_ms=tuple(message.samples_ms),
        warmup_ms=tuple(message.warmup_ms),
        cpu_ms=tuple(message.cpu_ms),
        measured_at=message.measured_at,
        evidence=_evidence_from_wire(message.evidence),
    )


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
        case text:
            return pb.EvidenceValue(text=text)


def _evidence_from_wire(messages: Mapping[str, pb.EvidenceValue]) -> dict[str, EvidenceValue]:
    found: dict[str, EvidenceValue] = {}
    for key in sorted(messages):
        kind = messages[key].WhichOneof("value")
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
    )


def registration_from_wire(message: pb.Registration) -> Registration:
    return Registration(
        device_id=message.device_id,
        name=message.name,
        device_class=message.device_class,
        labels=dict(message.labels),
        facts=dict(message.facts),
        runtimes=tuple(
            Runtime(runtime.name, runtime.version, tuple(map(_delegate, runtime.delegates)))
            for runtime in message.runtimes
        ),
        emulated=message.emulated,
    )


def devices_to_wire(devices: Iterable[Device]) -> pb.ListDevicesResponse:
    def as_registration(device: Device) -> Registration:
        known = {key: value for key, value in vars(device).items() if key != "state"}
        return Registration(**known)

    return pb.ListDevicesResponse(
        devices=[
            pb.Device(registration=registration_to_wire(as_registration(device)), state=device.state)
            for device in devices
        ]
    )


def devices_from_wire(message: pb.ListDevicesResponse) -> tuple[Device, ...]:
    return tuple(
        Device(**vars(registration_from_wire(device.registration)), state=_state(device.state))
        for device in message.devices
    )


# The worker's stream


def worker_message_to_wire(message: WorkerMessage) -> pb.WorkerMessage:
    match message:
        case Registration():
            return pb.WorkerMessage(registration=registration_to_wire(message))
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
        case "registration":
            return registration_from_wire(message.registration)
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
        case Welcome(heartbeat_seconds):
            return pb.CoordinatorMessage(welcome=pb.Welcome(heartbeat_seconds=heartbeat_seconds))
        case Lease(token, job):
            return pb.CoordinatorMessage(lease=pb.Lease(token=token, job=job_to_wire(job)))
        case revocation:
            return pb.CoordinatorMessage(
                revocation=pb.Revocation(token=revocation.token, reason=revocation.reason)
            )


def coordinator_message_from_wire(message: pb.CoordinatorMessage) -> CoordinatorMessage:
    match message.WhichOneof("message"):
        case "welcome":
            return Welcome(message.welcome.heartbeat_seconds)
        case "lease":
            return Lease(message.lease.token, job_from_wire(message.lease.job))
        case "revocation":
            return Revocation(message.revocation.token, message.revocation.reason)
        case other:
            raise ValueError(f"coordinator message of unknown kind {other}")


# Single values


def _delegate(name: str) -> Delegate:
    for delegate in DELEGATES:
        if name == delegate:
            return delegate
    raise ValueError(f"delegate must be one of {', '.join(DELEGATES)}, got {name!r}")


def _state(name: str) -> DeviceState:
    for state in DEVICE_STATES:
        if name == state:
            return state
    raise ValueError(f"device state must be one of {', '.join(DEVICE_STATES)}, got {name!r}")
