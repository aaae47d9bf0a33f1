"""The farm's client: synchronous, thread-safe, and done with a job when its caller is."""

import threading
import time
import uuid
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

import grpc

from device_farm import convert
from device_farm.acceptance import RefusedModel, check_model_header, check_model_size
from device_farm.addresses import CHANNEL_OPTIONS, parse_address, short_reason
from device_farm.jobs import Failed, Infeasible, Job, JobUpdate, NoDevice, Queued, Running, is_final
from device_farm.rpc import farm_pb2 as pb
from device_farm.rpc import farm_pb2_grpc as rpc
from device_farm.types import (
    Device,
    FarmUnavailable,
    InfeasibleModel,
    Measurement,
    MeasurementFailed,
    MeasurementSettings,
    NoSuchDevice,
    Target,
)

LIST_TIMEOUT_SECONDS = 10.0
DEFAULT_SETTINGS = MeasurementSettings()
_NO_ANSWER = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


class FarmClient:
    """A connection to a farm's coordinator. Any number of threads may share one.

    Args:
        address: the coordinator's HOST:PORT.
        device_wait_seconds: how long a job waits while no registered device satisfies its target.

    Raises:
        ValueError: the address is malformed.
    """

    def __init__(self, address: str, *, device_wait_seconds: float = 15.0) -> None:
        parse_address(address)
        self.address = address
        self._device_wait_seconds = device_wait_seconds
        self._channel = grpc.insecure_channel(address, options=list(CHANNEL_OPTIONS))
        self._stub: Any = rpc.FarmStub(self._channel)
        self._lock = threading.Lock()
        self._calls: set[Any] = set()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Cancels the jobs under way, in whichever threads they wait, and closes the connection."""
        with self._lock:
            self._closed = True
            calls = list(self._calls)
        for call in calls:
            call.cancel()
        self._channel.close()

    def devices(self) -> tuple[Device, ...]:
        """Every device the farm knows, by name. Raises FarmUnavailable."""
        self._check_open()
        try:
            answer = self._stub.ListDevices(pb.ListDevicesRequest(), timeout=LIST_TIMEOUT_SECONDS)
        except grpc.RpcError as error:
            self._no_answer(error)
        return convert.devices_from_wire(answer)

    def measure(
        self,
        model: Path | bytes,
        target: Target,
        settings: MeasurementSettings = DEFAULT_SETTINGS,
        timeout_seconds: float | None = None,
        priority: int = 0,
        *,
        on_update: Callable[[str], None] | None = None,
    ) -> Measurement:
        """Measures a TFLite file and waits for the result; any way out of here ends the job on the farm.

        Args:
            model: the file, or its bytes.
            target: the device, runtime, threads and delegate asked for.
            settings: how samples are taken.
            timeout_seconds: how long to wait, queueing included; None: as long as it takes.
            priority: higher goes first in the farm's queue.
            on_update: is told in words what the job waits for or where it runs.

        Raises:
            InfeasibleModel: the file is no TFLite file, or the runtime cannot load or run it.
            MeasurementFailed: something else went wrong, or the time was up; may be tried again.
            NoSuchDevice: no registered device satisfies the target.
            FarmUnavailable: no coordinator answers, or this client was closed.
            OSError: the file cannot be read.
        """
        self._check_open()
        data = model if isinstance(model, bytes) else model.read_bytes()
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        job = Job(
            job_id=uuid.uuid4().hex,
            model_sha256=self._upload(data, deadline),
            target=target,
            settings=settings,
            priority=priority,
            device_wait_seconds=self._device_wait_seconds,
        )
        with closing(self._updates(job, deadline)) as updates:
            for update in updates:
                if is_final(update):
                    return _measurement(update)
                if on_update is not None:
                    on_update(_in_words(update))
        raise MeasurementFailed(f"the farm at {self.address} ended the job without a result")

    def _upload(self, data: bytes, deadline: float | None) -> str:
        try:
            check_model_size(len(data))
            check_model_header(data[:8])
        except RefusedModel as refusal:
            raise InfeasibleModel(str(refusal)) from None
        try:
            answer = self._stub.UploadModel(convert.chunks_to_wire(data), timeout=_remaining(deadline))
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.INVALID_ARGUMENT:
                raise InfeasibleModel(error.details()) from None
            self._no_answer(error)
        return str(answer.sha256)

    def _updates(self, job: Job, deadline: float | None) -> Generator[JobUpdate, None, None]:
        """The job's updates; leaving early, in whatever way, cancels the job."""
        with self._lock:  # so that close() either forbids the call or finds it
            self._check_open()
            call = self._stub.Measure(convert.measure_request(job), timeout=_remaining(deadline))
            self._calls.add(call)
        try:
            for message in call:
                yield convert.update_from_wire(message)
        except grpc.RpcError as error:
            self._no_answer(error)
        finally:
            call.cancel()
            with self._lock:
                self._calls.discard(call)

    def _check_open(self) -> None:
        if self._closed:
            raise FarmUnavailable(f"the client of the farm at {self.address} is closed")

    def _no_answer(self, error: grpc.RpcError) -> NoReturn:
        self._check_open()
        if error.code() in _NO_ANSWER:
            reason = short_reason(error.details())
            raise FarmUnavailable(f"no farm answers at {self.address}: {reason}") from None
        if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
            raise MeasurementFailed(f"no result from the farm at {self.address} in the time given") from None
        raise MeasurementFailed(f"the farm at {self.address} refused: {error.details()}") from None


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
        case other:
            raise MeasurementFailed(f"unexpected outcome {other}")
