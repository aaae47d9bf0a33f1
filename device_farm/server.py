"""Runs a coordinator: binds the address, serves, and stops cleanly."""

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import grpc

from device_farm.addresses import SERVER_OPTIONS, is_loopback, join_address, parse_address
from device_farm.coordinator import Coordinator
from device_farm.rpc import farm_pb2_grpc as rpc
from device_farm.scheduling import Policy
from device_farm.services import FarmService, FleetService
from device_farm.state import JobLog, ModelStore, StateLock

STOP_GRACE_SECONDS = 0.5

logger = logging.getLogger(__name__)


class CannotListen(Exception):
    """The address is refused or taken."""


def check_listen_address(listen: str) -> tuple[str, int]:
    """The address as host and port. Raises ValueError unless it is well formed and on loopback."""
    host, port = parse_address(listen)
    if not is_loopback(host):
        raise ValueError(
            f"cannot listen on {listen}: connections are neither encrypted nor authenticated yet, "
            "so only loopback addresses such as 127.0.0.1:50051 are allowed"
        )
    return host, port


async def serve(
    listen: str,
    state: Path,
    on_ready: Callable[[str], None],
    policy: Policy | None = None,
) -> None:
    """Serves until cancelled. ``on_ready`` gets the bound address; port 0 chooses a free one.

    Raises:
        ValueError: the address is malformed or not on loopback.
        CannotListen: the port is taken or not permitted.
        StateInUse: another process works in ``state``.
    """
    host, port = check_listen_address(listen)
    with ExitStack() as stack:
        stack.enter_context(StateLock(state))
        log = stack.enter_context(closing(JobLog(state / "jobs.jsonl")))
        coordinator = Coordinator(ModelStore(state / "models"), log, policy or Policy())
        _check_port_is_free(host, port)
        server = grpc.aio.server(options=SERVER_OPTIONS)
        rpc.add_FarmServicer_to_server(FarmService(coordinator), server)
        rpc.add_FleetServicer_to_server(FleetService(coordinator), server)
        bound = server.add_insecure_port(join_address(host, port))
        await server.start()
        clock = asyncio.create_task(coordinator.keep_time())
        try:
            on_ready(join_address(host, bound))
            await server.wait_for_termination()
        finally:
            clock.cancel()
            coordinator.close()
            await server.stop(STOP_GRACE_SECONDS)
            logger.info("stopped")


def _check_port_is_free(host: str, port: int) -> None:
    """Tries the port first, because gRPC would report a failure on stderr in its own words."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise CannotListen(f"cannot listen on {join_address(host, port)}: {reason}") from None
