"""Connections of benchmarks to a coordinator, which may be cut at any time from either side."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from device_farm.addresses import CHANNEL_OPTIONS

LOST_CODES = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.INTERNAL)


class ConnectionLost(Exception):
    """The connection broke, or was cut here, in the middle of a call."""


def open_channel(address: str) -> grpc.aio.Channel:
    """A connection of its own; gRPC would let channels to one address share one."""
    return grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)


@contextmanager
def noticing_loss() -> Iterator[None]:
    """Around the use of a call: whatever gRPC raises for a lost connection becomes ConnectionLost.

    Raises:
        ConnectionLost: the connection is gone.
        grpc.aio.AioRpcError: the other side refused the call.
    """
    try:
        yield
    except grpc.aio.AioRpcError as error:
        if error.code() not in LOST_CODES:
            raise
        raise ConnectionLost(error.details()) from None
    except (asyncio.InvalidStateError, grpc.aio.UsageError) as error:
        raise ConnectionLost(str(error)) from None
    except asyncio.CancelledError:
        # gRPC says the same when the channel is closed on this side as when this task is cancelled.
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise ConnectionLost("closed on this side") from None


async def read(call: Any) -> Any:
    """The call's next message, or ``grpc.aio.EOF``. Raises as ``noticing_loss``."""
    with noticing_loss():
        return await call.read()


async def write(call: Any, message: Any) -> None:
    """Sends a message. Raises as ``noticing_loss``."""
    with noticing_loss():
        await call.write(message)
