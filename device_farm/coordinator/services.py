"""The coordinator's gRPC services: each method converts, calls the coordinator and reports its errors."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any, NoReturn

import grpc

from device_farm import convert
from device_farm.coordinator.coordinator import (
    CannotStore,
    Coordinator,
    JobMismatch,
    Session,
    UnknownModel,
    Watch,
)
from device_farm.coordinator.events import DropWorker
from device_farm.jobs import Introduction, is_final
from device_farm.model_files.model_check import RefusedModel
from device_farm.rpc import farm_pb2 as pb
from device_farm.rpc import farm_pb2_grpc as rpc
from device_farm.types import NoSuchDevice, NoSuchJob, OrderRefused

MAX_LISTED_JOBS = 1000

logger = logging.getLogger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]


class FarmService(rpc.FarmServicer):
    """What clients call."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator

    async def UploadModel(
        self, request_iterator: AsyncIterator[pb.ModelChunk], context: Context
    ) -> pb.UploadModelResponse:
        try:
            with self._coordinator.store.begin_upload() as upload:
                async for chunk in request_iterator:
                    upload.write(chunk.data)
                sha256 = await asyncio.to_thread(upload.commit)
        except RefusedModel as refusal:
            await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(refusal))
        except OSError as error:
            message = f"the coordinator cannot store the model: {error.strerror}"
            await _abort(context, grpc.StatusCode.RESOURCE_EXHAUSTED, message)
        return pb.UploadModelResponse(sha256=sha256)

    async def Measure(self, request: pb.MeasureRequest, context: Context) -> AsyncIterator[pb.JobUpdate]:
        watch = await self._watch(request, context)
        try:
            while True:
                update = await watch.updates.get()
                if update is None:
                    await _abort(context, grpc.StatusCode.UNAVAILABLE, "the coordinator stopped")
                yield convert.update_to_wire(update)
                if is_final(update):
                    return
        finally:
            self._coordinator.unwatch(watch)

    async def _watch(self, request: pb.MeasureRequest, context: Context) -> Watch:
        try:
            return self._coordinator.watch(convert.job_from_wire(request.job), request.model or None)
        except UnknownModel as error:
            await _abort(context, grpc.StatusCode.NOT_FOUND, str(error))
        except JobMismatch as error:
            await _abort(context, grpc.StatusCode.ALREADY_EXISTS, str(error))
        except CannotStore as error:
            await _abort(context, grpc.StatusCode.RESOURCE_EXHAUSTED, str(error))
        except ValueError as error:
            await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))

    async def CancelJob(self, request: pb.CancelJobRequest, context: Context) -> pb.CancelJobResponse:
        del context
        await self._coordinator.cancel(request.job_id, request.reason or "cancelled")
        return pb.CancelJobResponse()

    async def GetJob(self, request: pb.GetJobRequest, context: Context) -> pb.JobRecord:
        try:
            return convert.record_to_wire(self._coordinator.job_record(request.job_id))
        except NoSuchJob as error:
            await _abort(context, grpc.StatusCode.NOT_FOUND, str(error))

    async def ListJobs(self, request: pb.ListJobsRequest, context: Context) -> pb.ListJobsResponse:
        del context
        records = self._coordinator.job_records(min(max(request.limit, 1), MAX_LISTED_JOBS))
        return pb.ListJobsResponse(jobs=[convert.record_to_wire(record) for record in records])

    async def ListDevices(self, request: pb.ListDevicesRequest, context: Context) -> pb.ListDevicesResponse:
        del request, context
        return convert.devices_to_wire(self._coordinator.devices())


class OperationsService(rpc.OperationsServicer):
    """What the fleet's operator calls."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator

    async def OrderDevice(self, request: pb.DeviceOrder, context: Context) -> pb.OrderDeviceResponse:
        try:
            order = convert.order_from_wire(request)
            return pb.OrderDeviceResponse(message=await self._coordinator.order(order))
        except NoSuchDevice as error:
            await _abort(context, grpc.StatusCode.NOT_FOUND, str(error))
        except OrderRefused as error:
            await _abort(context, grpc.StatusCode.FAILED_PRECONDITION, str(error))
        except ValueError as error:
            await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))


class FleetService(rpc.FleetServicer):
    """What workers call."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator

    async def Work(
        self, request_iterator: AsyncIterator[pb.WorkerMessage], context: Context
    ) -> AsyncIterator[pb.CoordinatorMessage]:
        messages = aiter(request_iterator)
        session = await self._register(messages, context)
        reader = asyncio.create_task(self._read(messages, session))
        try:
            while not isinstance(message := await session.outbox.get(), DropWorker):
                yield convert.coordinator_message_to_wire(message)
            if message.code is not None:
                await _abort(context, grpc.StatusCode[message.code], message.reason)
        finally:
            reader.cancel()
            self._coordinator.disconnect(session, "the connection ended")

    async def _register(self, messages: AsyncIterator[pb.WorkerMessage], context: Context) -> Session:
        try:
            first = convert.worker_message_from_wire(await anext(messages))
            if not isinstance(first, Introduction):
                raise ValueError(f"the first message must be an introduction, got {type(first).__name__}")
            return self._coordinator.connect(first)
        except (ValueError, StopAsyncIteration) as error:
            await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(error) or "no introduction")

    async def _read(self, messages: AsyncIterator[pb.WorkerMessage], session: Session) -> None:
        """Passes the worker's messages on; in the end lets the session end too."""
        ending = DropWorker(session.number, "")
        try:
            async for message in messages:
                self._coordinator.receive(session, convert.worker_message_from_wire(message))
        except ValueError as error:
            logger.warning("worker %s sent nonsense: %s", session.name, error)
            ending = DropWorker(session.number, str(error), "INVALID_ARGUMENT")
        finally:
            session.outbox.put_nowait(ending)

    async def DownloadModel(
        self, request: pb.DownloadModelRequest, context: Context
    ) -> AsyncIterator[pb.ModelChunk]:
        data = self._coordinator.model(request.sha256)
        if data is None:
            await _abort(context, grpc.StatusCode.NOT_FOUND, f"no model {request.sha256!r} is stored")
        for chunk in convert.chunks_to_wire(data):
            yield chunk


async def _abort(context: Context, code: grpc.StatusCode, message: str) -> NoReturn:
    """Ends the call with an error. gRPC's ``abort`` raises; its type stub does not say so."""
    await context.abort(code, message)
    raise AssertionError("abort returned")
