"""The coordinator's gRPC services: each method converts, calls the coordinator and reports its errors."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any, NoReturn

import grpc

from device_farm import convert
from device_farm.acceptance import RefusedModel
from device_farm.coordinator import Coordinator, Session
from device_farm.jobs import Registration, is_final
from device_farm.rpc import farm_pb2 as pb
from device_farm.rpc import farm_pb2_grpc as rpc

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
                sha256 = upload.commit()
        except RefusedModel as refusal:
            await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(refusal))
        except OSError as error:
            await _abort(
                context,
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"the coordinator cannot store the model: {error.strerror}",
            )
        self._coordinator.trim_store()
        return pb.UploadModelResponse(sha256=sha256)

    async def Measure(self, request: pb.MeasureRequest, context: Context) -> AsyncIterator[pb.JobUpdate]:
        try:
            job = convert.job_from_wire(request.job)
        except ValueError as error:
            await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
        if self._coordinator.store.path(job.model_sha256) is None:
            await _abort(context, grpc.StatusCode.NOT_FOUND, f"no model {job.model_sha256} is stored")
        try:
            updates = self._coordinator.submit(job)
        except ValueError as error:
            await _abort(context, grpc.StatusCode.ALREADY_EXISTS, str(error))
        try:
            while True:
                update = await updates.get()
                if update is None:
                    await _abort(context, grpc.StatusCode.UNAVAILABLE, "the coordinator stopped")
                yield convert.update_to_wire(update)
                if is_final(update):
                    return
        finally:
            self._coordinator.abandon(job.job_id, "the client went away")

    async def ListDevices(self, request: pb.ListDevicesRequest, context: Context) -> pb.ListDevicesResponse:
        del request, context
        return convert.devices_to_wire(self._coordinator.devices())


class FleetService(rpc.FleetServicer):
    """What workers call."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator

    async def Work(
        self, request_iterator: AsyncIterator[pb.WorkerMessage], context: Context
    ) -> AsyncIterator[pb.CoordinatorMessage]:
        messages = aiter(request_iterator)
        registration = await _registration(messages, context)
        session = self._coordinator.connect(registration)
        reader = asyncio.create_task(self._read(messages, session))
        try:
            while (message := await session.outbox.get()) is not None:
                yield convert.coordinator_message_to_wire(message)
            if reader.done() and not reader.cancelled() and (error := reader.exception()) is not None:
                await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
        finally:
            reader.cancel()
            self._coordinator.disconnect(session, "the connection ended")

    async def _read(self, messages: AsyncIterator[pb.WorkerMessage], session: Session) -> None:
        try:
            async for message in messages:
                self._coordinator.receive(session, convert.worker_message_from_wire(message))
        except ValueError as error:
            logger.warning("worker %s sent nonsense: %s", session.name, error)
            raise
        finally:
            session.outbox.put_nowait(None)

    async def DownloadModel(
        self, request: pb.DownloadModelRequest, context: Context
    ) -> AsyncIterator[pb.ModelChunk]:
        path = self._coordinator.store.path(request.sha256)
        if path is None:
            await _abort(context, grpc.StatusCode.NOT_FOUND, f"no model {request.sha256!r} is stored")
        for chunk in convert.chunks_to_wire(path.read_bytes()):
            yield chunk


async def _registration(messages: AsyncIterator[pb.WorkerMessage], context: Context) -> Registration:
    try:
        first = convert.worker_message_from_wire(await anext(messages))
        if not isinstance(first, Registration):
            raise ValueError(f"the first message must be a registration, got {type(first).__name__}")
    except (ValueError, StopAsyncIteration) as error:
        await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(error) or "no registration")
    return first


async def _abort(context: Context, code: grpc.StatusCode, message: str) -> NoReturn:
    """Ends the call with an error. gRPC's ``abort`` raises; its type stub does not say so."""
    await context.abort(code, message)
    raise AssertionError("abort returned")
