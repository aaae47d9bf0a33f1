"""The farm's client: synchronous, thread-safe, and not impressed by a coordinator that restarts."""

import hashlib
import threading
import time
import uuid
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

import grpc

from device_farm import convert
from device_farm.credentials import Credentials, explain_connection_failure, open_channel
from device_farm.jobs import (
    INLINE_MODEL_BYTES,
    Cancelled,
    DeviceOrder,
    Failed,
    Infeasible,
    Job,
    JobUpdate,
    NoDevice,
    Queued,
    Running,
    is_final,
)
from device_farm.model_files.model_check import RefusedModel, check_model, check_model_size
from device_farm.rpc import farm_pb2 as pb
from device_farm.rpc import farm_pb2_grpc as rpc
from device_farm.types import (
    Device,
    FarmError,
    FarmUnavailable,
    InfeasibleModel,
    JobRecord,
    Measurement,
    MeasurementFailed,
    MeasurementSettings,
    NoSuchDevice,
    NoSuchJob,
    OrderRefused,
    Target,
)

CALL_TIMEOUT_SECONDS = 10.0
CANCEL_TIMEOUT_SECONDS = 2.0
RETRY_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0)  # the last one again and again
DEFAULT_SETTINGS = MeasurementSettings()

_GONE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
_REFUSED = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)


class FarmClient:
    """A connection to a farm's coordinator. Any number of threads may share one.

    Args:
        address: the coordinator's HOST:PORT.
        credentials: what a coordinator with TLS asks for; needed for any address that is not on loopback.
        device_wait_seconds: how long a job waits while no registered device satisfies its target.
        reconnect_seconds: how long a job that the coordinator has accepted outlives a lost connection.

    Raises:
        ValueError: the address is malformed, or needs credentials.
    """

    def __init__(
        self,
        address: str,
        *,
        credentials: Credentials | None = None,
        device_wait_seconds: float = 15.0,
        reconnect_seconds: float = 60.0,
    ) -> None:
        self.address = address
        self._credentials = credentials
        self._device_wait_seconds = device_wait_seconds
        self._reconnect_seconds = reconnect_seconds
        self._channel = open_channel(address, credentials)
        self._farm: Any = rpc.FarmStub(self._channel)
        self._operations: Any = rpc.OperationsStub(self._channel)
        self._lock = threading.Lock()
        self._calls: dict[str, Any] = {}  # by job id
        self._closed = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Cancels the jobs under way, in whichever threads they wait, and closes the connection."""
        with self._lock:
            self._closed.set()
            calls = dict(self._calls)
        for job_id, call in calls.items():
            self._cancel_quietly(job_id, "the client was closed")
            call.cancel()
        self._channel.close()

    # The fleet and its jobs

    def devices(self) -> tuple[Device, ...]:
        """Every device the farm knows, by name. Raises FarmUnavailable."""
        return convert.devices_from_wire(self._call(self._farm.ListDevices, pb.ListDevicesRequest()))

    def job(self, job_id: str) -> JobRecord:
        """A job with its story, by its id or the beginning of it. Raises NoSuchJob, FarmUnavailable."""
        return convert.record_from_wire(
            self._call(self._farm.GetJob, pb.GetJobRequest(job_id=job_id), NoSuchJob)
        )

    def jobs(self, limit: int = 20) -> tuple[JobRecord, ...]:
        """The jobs submitted last, newest first, without their stories. Raises FarmUnavailable."""
        answer = self._call(self._farm.ListJobs, pb.ListJobsRequest(limit=limit))
        return tuple(convert.record_from_wire(record) for record in answer.jobs)

    def cancel(self, job_id: str, reason: str = "cancelled by a user") -> None:
        """Ends a job; harmless if it has ended. Raises FarmUnavailable."""
        self._call(self._farm.CancelJob, pb.CancelJobRequest(job_id=job_id, reason=reason))

    def order(self, order: DeviceOrder) -> str:
        """Has the farm drain, resume, quarantine or remove a device; returns what came of it, in words.

        Raises:
            NoSuchDevice: no device, or several, have this name.
            OrderRefused: the order makes no sense now.
            FarmUnavailable: no coordinator answers, or these credentials do not permit it.
        """
        request = convert.order_to_wire(order)
        return str(self._call(self._operations.OrderDevice, request, NoSuchDevice).message)

    # Measuring

    def measure(
        self,
        model: Path | bytes,
        target: Target,
        settings: MeasurementSettings = DEFAULT_SETTINGS,
        timeout_seconds: float | None = None,
        priority: int = 0,
        *,
        fresh: bool = False,
        profile_operators: bool = False,
        on_update: Callable[[str], None] | None = None,
    ) -> Measurement:
        """Measures a TFLite file and waits for the result; any way out of here ends the job on the farm.

        A coordinator that goes away while the job waits or runs is waited for: it remembers the job.

        Args:
            model: the file, or its bytes.
            target: the device, runtime, threads and delegate asked for.
            settings: how samples are taken.
            timeout_seconds: how long to wait, queueing included; None: as long as it takes.
            priority: higher goes first in the farm's queue.
            fresh: insist on a new measurement, even if the farm knows an answer.
            profile_operators: measure the time per operator as well.
            on_update: is told in words what the job waits for or where it runs.

        Raises:
            InfeasibleModel: the file is no whole TFLite file, or the runtime cannot load or run it.
            MeasurementFailed: something else went wrong, or the time was up; may be tried again.
            NoSuchDevice: no registered device satisfies the target.
            FarmUnavailable: no coordinator answers, it refuses this client, or this client was closed.
            OSError: the file cannot be read.
        """
        data = _whole_model(model)
        job = self._job(data, target, settings, priority, fresh, profile_operators)
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        with closing(self._updates(job, data, deadline)) as updates:  # also if on_update raises
            for update in updates:
                if is_final(update):
                    return _measurement(update)
                if on_update is not None:
                    on_update(_in_words(update))
        raise MeasurementFailed(f"the farm at {self.address} ended the job without a result")

    def submit(
        self,
        model: Path | bytes,
        target: Target,
        settings: MeasurementSettings = DEFAULT_SETTINGS,
        priority: int = 0,
        *,
        fresh: bool = False,
        profile_operators: bool = False,
    ) -> str:
        """Submits a job that goes on without this client; returns its id once the farm has it for good.

        Raises:
            As ``measure``, for what can be known by then.
        """
        data = _whole_model(model)
        job = self._job(data, target, settings, priority, fresh, profile_operators, detached=True)
        with closing(self._updates(job, data, None)) as updates:
            next(updates)
        return job.job_id

    def _job(
        self,
        data: bytes,
        target: Target,
        settings: MeasurementSettings,
        priority: int,
        fresh: bool,
        profile_operators: bool,
        detached: bool = False,
    ) -> Job:
        return Job(
            job_id=uuid.uuid4().hex,
            model_sha256=hashlib.sha256(data).hexdigest(),
            target=target,
            settings=settings,
            priority=priority,
            device_wait_seconds=self._device_wait_seconds,
            fresh=fresh,
            profile_operators=profile_operators,
            detached=detached,
        )

    def _updates(self, job: Job, data: bytes, deadline: float | None) -> Generator[JobUpdate, None, None]:
        """The job's updates up to its outcome, across reconnections; leaving earlier cancels the job."""
        outage, ended = _Outage(self._reconnect_seconds), False
        try:
            while not ended:
                try:
                    for update in self._connection(job, data, deadline):
                        outage.is_over()
                        ended = is_final(update)
                        if isinstance(update, Cancelled):
                            self._check_open()  # closing the client cancelled it
                        yield update
                    return
                except grpc.RpcError as error:
                    self._check_open()
                    if error.code() == grpc.StatusCode.NOT_FOUND:
                        self._upload(data, deadline)
                    elif (delay := outage.next_delay(error.code())) is not None:
                        self._closed.wait(delay)
                    else:
                        self._raise(error)
        finally:
            if not ended and not job.detached:
                self._cancel_quietly(job.job_id, "the client went away")

    def _connection(self, job: Job, data: bytes, deadline: float | None) -> Generator[JobUpdate, None, None]:
        """Submits the job, or goes on waiting for it; a large model is sent only if the farm lacks it."""
        small = data if len(data) <= INLINE_MODEL_BYTES else b""
        request = pb.MeasureRequest(job=convert.job_to_wire(job), model=small)
        with self._lock:  # so that close() either forbids the call or finds it
            self._check_open()
            call = self._farm.Measure(request, timeout=_remaining(deadline))
            self._calls[job.job_id] = call
        try:
            for message in call:
                yield convert.update_from_wire(message)
        finally:
            call.cancel()
            with self._lock:
                self._calls.pop(job.job_id, None)

    def _upload(self, data: bytes, deadline: float | None) -> None:
        try:
            self._farm.UploadModel(convert.chunks_to_wire(data), timeout=_remaining(deadline))
        except grpc.RpcError as error:
            self._check_open()
            if error.code() == grpc.StatusCode.INVALID_ARGUMENT:
                raise InfeasibleModel(error.details()) from None
            self._raise(error)

    def _call(self, method: Any, request: Any, not_found: type[FarmError] = FarmUnavailable) -> Any:
        self._check_open()
        try:
            return method(request, timeout=CALL_TIMEOUT_SECONDS)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND:
                raise not_found(error.details()) from None
            if error.code() == grpc.StatusCode.FAILED_PRECONDITION:
                raise OrderRefused(error.details()) from None
            self._raise(error)

    def _cancel_quietly(self, job_id: str, reason: str) -> None:
        """Tells the farm, if it can be told; otherwise it finds out by itself after a while."""
        with suppress(grpc.RpcError, ValueError):  # ValueError: the channel is closed
            self._farm.CancelJob(
                pb.CancelJobRequest(job_id=job_id, reason=reason), timeout=CANCEL_TIMEOUT_SECONDS
            )

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise FarmUnavailable(f"the client of the farm at {self.address} is closed")

    def _raise(self, error: grpc.RpcError) -> NoReturn:
        """The error of ours that a status stands for."""
        self._check_open()
        code, details = error.code(), error.details()
        if code in _GONE:
            reason = explain_connection_failure(details, self.address, self._credentials)
            raise FarmUnavailable(f"no farm answers at {self.address}: {reason}") from None
        if code == grpc.StatusCode.DEADLINE_EXCEEDED:
            raise MeasurementFailed(f"no answer from the farm at {self.address} in the time given") from None
        if code in _REFUSED:
            raise FarmUnavailable(f"the farm at {self.address} refused: {details}") from None
        raise MeasurementFailed(f"the farm at {self.address} refused: {details}") from None


class _Outage:
    """How long a job that was accepted has been without its coordinator."""

    def __init__(self, limit_seconds: float) -> None:
        self._limit_seconds = limit_seconds
        self._accepted, self._failures, self._since = False, 0, 0.0

    def is_over(self) -> None:
        self._accepted, self._failures = True, 0

    def next_delay(self, code: grpc.StatusCode) -> float | None:
        """Seconds until the next try; None: give up."""
        now = time.monotonic()
        if self._failures == 0:
            self._since = now
        if code not in _GONE or not self._accepted or now - self._since > self._limit_seconds:
            return None
        self._failures += 1
        return RETRY_SECONDS[min(self._failures, len(RETRY_SECONDS)) - 1]


def _whole_model(model: Path | bytes) -> bytes:
    """The file's bytes; raises InfeasibleModel for what no device should see."""
    data = model if isinstance(model, bytes) else model.read_bytes()
    try:
        check_model_size(len(data))
        check_model(data)
    except RefusedModel as refusal:
        raise InfeasibleModel(str(refusal)) from None
    return data


def _remaining(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def _in_words(update: JobUpdate) -> str:
    match update:
        case Queued(reason):
            return reason
        case Running(device_name):
            return f"running on {device_name}"
        case other:
            return str(other)


def _measurement(outcome: JobUpdate) -> Measurement:
    """The measurement, or the error that the outcome stands for."""
    match outcome:
        case Measurement():
            return outcome
        case Infeasible(message):
            raise InfeasibleModel(message)
        case NoDevice(message):
            raise NoSuchDevice(message)
        case Failed(message):
            raise MeasurementFailed(message)
        case Cancelled(message):
            raise MeasurementFailed(f"the job was cancelled: {message}")
        case other:
            raise MeasurementFailed(f"unexpected outcome {other}")
