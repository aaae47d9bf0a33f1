"""Jobs and what the coordinator remembers of them."""

from device_farm.convert.words import one_of
from device_farm.jobs import Job
from device_farm.rpc import farm_pb2 as pb
from device_farm.types import DELEGATES, JobRecord, MeasurementSettings, StoryEntry, Target


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
        delegate=one_of(DELEGATES, message.delegate, "delegate"),
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
