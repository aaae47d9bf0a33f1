"""What flows: model files in chunks, and the messages of a worker's stream."""

from collections.abc import Iterator

from device_farm.convert.devices import registration_from_wire, registration_to_wire
from device_farm.convert.jobs import job_from_wire, job_to_wire
from device_farm.convert.measurements import report_from_wire, report_to_wire
from device_farm.jobs import (
    Acknowledgement,
    CoordinatorMessage,
    Failed,
    Heartbeat,
    Infeasible,
    Introduction,
    Lease,
    LeaseResult,
    Revocation,
    RunReport,
    Welcome,
    WorkerMessage,
)
from device_farm.rpc import farm_pb2 as pb

CHUNK_BYTES = 1024 * 1024


def chunks_to_wire(data: bytes) -> Iterator[pb.ModelChunk]:
    """The bytes in messages of 1 MiB: gRPC refuses messages above 4 MB. Empty data is one empty chunk."""
    view = memoryview(data)
    for start in range(0, max(len(data), 1), CHUNK_BYTES):
        yield pb.ModelChunk(data=bytes(view[start : start + CHUNK_BYTES]))


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
            return pb.WorkerMessage(result=pb.LeaseResult(token=token, report=report_to_wire(report)))
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
            return LeaseResult(message.token, report_from_wire(message.report))
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
