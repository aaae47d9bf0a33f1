"""A client for load: like ``device_farm.client.FarmClient``, but thousands of jobs in one event loop."""

import asyncio
import itertools
import random
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import grpc
from connections import ConnectionLost, noticing_loss, open_channel, read

from device_farm import convert
from device_farm.jobs import INLINE_MODEL_BYTES, Job, JobOutcome, Queued, Running
from device_farm.rpc import farm_pb2 as pb
from device_farm.rpc import farm_pb2_grpc as rpc

RECONNECT_SECONDS = (0.1, 0.4)


class AsyncClient:
    """Connections to a coordinator; calls that lose theirs are made again.

    Args:
        address: the coordinator's HOST:PORT.
        connections: over how many connections the calls are spread.

    Attributes:
        reconnections: calls that were made again because their connection was lost.
    """

    def __init__(self, address: str, connections: int = 1) -> None:
        self._address = address
        self._channels = [open_channel(address) for _ in range(connections)]
        self._turn = itertools.cycle(range(connections))
        self.reconnections = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for channel in self._channels:
            await channel.close()

    async def cut(self) -> None:
        """One connection breaks, with all calls over it."""
        index = next(self._turn)
        broken, self._channels[index] = self._channels[index], open_channel(self._address)
        await broken.close()

    def _stub(self) -> Any:
        return rpc.FarmStub(self._channels[next(self._turn)])

    async def measure(self, job: Job, model: bytes) -> JobOutcome:
        """Submits the job and waits for its outcome, over lost connections and the coordinator's restarts.

        Raises:
            grpc.aio.AioRpcError: the farm refuses the job.
        """
        inline = len(model) <= INLINE_MODEL_BYTES
        request = pb.MeasureRequest(job=convert.job_to_wire(job), model=model if inline else b"")
        while True:
            try:
                return await self._outcome(request)
            except ConnectionLost:
                self.reconnections += 1
                await asyncio.sleep(random.uniform(*RECONNECT_SECONDS))
            except grpc.aio.AioRpcError as error:
                if error.code() != grpc.StatusCode.NOT_FOUND:
                    raise
                with suppress(ConnectionLost):
                    await self.upload(model)

    async def _outcome(self, request: pb.MeasureRequest) -> JobOutcome:
        call = self._stub().Measure(request)
        try:
            while (wire := await read(call)) is not grpc.aio.EOF:
                update = convert.update_from_wire(wire)
                if not isinstance(update, Queued | Running):
                    return update
        finally:
            call.cancel()
        raise RuntimeError(f"the farm ended job {request.job.job_id} without an outcome")

    async def upload(self, model: bytes) -> str:
        """Stores a model and returns its SHA-256. Raises ConnectionLost."""
        with noticing_loss():
            answer = await self._stub().UploadModel(convert.chunks_to_wire(model))
        return str(answer.sha256)


async def until(condition: Callable[[], Any], timeout_seconds: float, what: str) -> None:
    """Waits until the condition holds; raises TimeoutError naming ``what`` if it does not in time."""
    try:
        async with asyncio.timeout(timeout_seconds):
            while not condition():
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise TimeoutError(f"{what}: not within {timeout_seconds:g} s") from None
