"""A peer that vanishes without closing its connection is noticed; one that has nothing to say is left alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from device_farm.addresses import CHANNEL_OPTIONS, SERVER_OPTIONS, Options

METHOD = "/device_farm.v1.Fleet/Work"


def quickened(options: Options, factor: float) -> Options:
    """The same options with all waiting of the keepalive shortened."""
    return [
        (
            name,
            int(value * factor)
            if ("keepalive" in name or "ping" in name) and name.endswith("_ms")
            else value,
        )
        for name, value in options
    ]


def limit(factor: float) -> asyncio.Timeout:
    """Well above what is right and, where all is quickened, below gRPC's own minute."""
    return asyncio.timeout(20 + 100 * factor)


class Relay:
    """Passes bytes between a client and a server until it is told to swallow them, with all connections open."""

    def __init__(self) -> None:
        self.frozen = False
        self.chunks_to_server: asyncio.Queue[int] = asyncio.Queue()

    @asynccontextmanager
    async def to(self, port: int) -> AsyncIterator[str]:
        writers = []

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", port)
            writers.extend((writer, onward_writer))
            await asyncio.gather(
                self._pump(reader, onward_writer, counted=True),
                self._pump(onward_reader, writer, counted=False),
            )

        listener = await asyncio.start_server(connected, "127.0.0.1", 0)
        try:
            yield f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        finally:
            listener.close()
            for writer in writers:
                writer.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counted: bool
    ) -> None:
        while data := await reader.read(65536):
            if not self.frozen:
                writer.write(data)
                if counted:
                    self.chunks_to_server.put_nowait(len(data))


class Stream:
    """A worker's kind of call through a relay, and the server's side of it."""

    def __init__(self) -> None:
        self.relay = Relay()
        self.server_side_ended = asyncio.Event()

    @asynccontextmanager
    async def open(self, factor: float) -> AsyncIterator[Any]:
        server = grpc.aio.server(options=quickened(SERVER_OPTIONS, factor))
        handler = grpc.stream_stream_rpc_method_handler(self._echo)
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("device_farm.v1.Fleet", {"Work": handler}),)
        )
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            async with (
                self.relay.to(port) as address,
                grpc.aio.insecure_channel(address, quickened(CHANNEL_OPTIONS, factor)) as channel,
            ):
                yield channel.stream_stream(METHOD)()
        finally:
            await server.stop(None)

    async def _echo(self, requests: AsyncIterator[bytes], _: Any) -> AsyncIterator[bytes]:
        try:
            async for request in requests:
                yield request
        finally:
            self.server_side_ended.set()


async def say(call: Any, message: bytes) -> bytes:
    await call.write(message)
    return await call.read()


@pytest.mark.parametrize("factor", [0.02, pytest.param(1.0, marks=pytest.mark.long)])
def test_both_sides_notice_a_peer_that_vanished(factor):
    async def vanish() -> tuple[grpc.StatusCode, str]:
        stream = Stream()
        async with limit(factor), stream.open(factor) as call:
            assert await say(call, b"hello") == b"hello"
            stream.relay.frozen = True
            await stream.server_side_ended.wait()
            return await call.code(), await call.details()

    assert asyncio.run(vanish()) == (grpc.StatusCode.UNAVAILABLE, "Stream removed (ping timeout)")


@pytest.mark.parametrize(("factor", "pings"), [(0.1, 8), pytest.param(1.0, 8, marks=pytest.mark.long)])
def test_a_silent_stream_lives_on_although_it_is_pinged(factor, pings):
    """A server that finds two pings too early closes the connection at the next one."""

    async def be_silent() -> bytes:
        stream = Stream()
        async with limit(factor), stream.open(factor) as call:
            assert await say(call, b"hello") == b"hello"
            for _ in range(2 * pings):  # each is a ping of the client's or its answer to one of the server's
                await stream.relay.chunks_to_server.get()
            return await say(call, b"still there")

    assert asyncio.run(be_silent()) == b"still there"
