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
from device_farm.coordinator.authority import Authority, open_authority, server_credentials
from device_farm.coordinator.authorization import TokenCheck
from device_farm.coordinator.certificates import KeyPair
from device_farm.coordinator.coordinator import Coordinator
from device_farm.coordinator.database import Database
from device_farm.coordinator.model_store import ModelStore
from device_farm.coordinator.policy import Policy
from device_farm.coordinator.services import FarmService, FleetService, OperationsService
from device_farm.rpc import farm_pb2_grpc as rpc
from device_farm.state import StateLock

STOP_GRACE_SECONDS = 0.5

logger = logging.getLogger(__name__)


class CannotListen(Exception):
    """The address is taken or not permitted."""


def needs_tls(listen: str) -> bool:
    """Whether the address can be reached from other machines. Raises ValueError if it is malformed."""
    host, _ = parse_address(listen)
    return not is_loopback(host)


def credentials_folder(state: Path) -> Path:
    """Where a coordinator that serves with TLS keeps its certificate and the roles' credentials files."""
    return state / "credentials"


async def serve(
    listen: str,
    state: Path,
    on_ready: Callable[[str], None],
    policy: Policy | None = None,
    *,
    tls: bool = False,
    own: KeyPair | None = None,
) -> None:
    """Serves until cancelled. ``on_ready`` gets the bound address; port 0 chooses a free one.

    Connections are encrypted and authenticated if ``tls`` or ``own`` (a certificate of one's own) says so, and
    always on an address that other machines can reach.

    Raises:
        ValueError: the address is malformed, or a file of the credentials is unusable.
        CannotListen: the port is taken or not permitted.
        StateInUse: another process works in ``state``.
        UnreadableState: ``state`` holds a database that this version cannot use.
    """
    host, port = parse_address(listen)
    with ExitStack() as stack:
        stack.enter_context(StateLock(state))
        secure = tls or own is not None or needs_tls(listen)
        authority = open_authority(credentials_folder(state), own) if secure else None
        database = stack.enter_context(closing(Database(state / "farm.db")))
        coordinator = Coordinator(ModelStore(state / "models"), database, policy or Policy())
        _check_port_is_free(host, port)
        server = _server(coordinator, authority)
        bound = _bind(server, join_address(host, port), authority)
        await server.start()
        running = asyncio.create_task(coordinator.run())
        stopped = asyncio.create_task(server.wait_for_termination())
        try:
            on_ready(join_address(host, bound))
            await asyncio.wait([running, stopped], return_when=asyncio.FIRST_COMPLETED)
            await running  # it ends by an error only
        finally:
            running.cancel()
            coordinator.close()
            await server.stop(STOP_GRACE_SECONDS)
            logger.info("stopped")


def _server(coordinator: Coordinator, authority: Authority | None) -> grpc.aio.Server:
    checks = [] if authority is None else [TokenCheck(authority.token_sha256)]
    server = grpc.aio.server(interceptors=checks, options=SERVER_OPTIONS)
    rpc.add_FarmServicer_to_server(FarmService(coordinator), server)
    rpc.add_OperationsServicer_to_server(OperationsService(coordinator), server)
    rpc.add_FleetServicer_to_server(FleetService(coordinator), server)
    return server


def _bind(server: grpc.aio.Server, address: str, authority: Authority | None) -> int:
    if authority is None:
        return server.add_insecure_port(address)
    return server.add_secure_port(address, server_credentials(authority))


def _check_port_is_free(host: str, port: int) -> None:
    """Tries the port first, because gRPC would report a failure on stderr in its own words."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise CannotListen(f"cannot listen on {join_address(host, port)}: {reason}") from None
