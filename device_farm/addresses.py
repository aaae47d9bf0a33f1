"""HOST:PORT addresses and the options of the channels to them."""

import ipaddress
from collections.abc import Sequence

# A proxy of the environment must not come between loopback peers; a fresh channel must not inherit the
# waiting time of an earlier one's failures.
CHANNEL_OPTIONS: Sequence[tuple[str, int]] = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2000),
)
# Without this a second coordinator could silently share the port.
SERVER_OPTIONS: Sequence[tuple[str, int]] = (("grpc.so_reuseport", 0),)


def parse_address(text: str) -> tuple[str, int]:
    """``127.0.0.1:50051`` or ``[::1]:50051`` as host and port. Raises ValueError saying what is allowed."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"address {text!r}: expected HOST:PORT, such as 127.0.0.1:50051")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def join_address(host: str, port: int) -> str:
    """The inverse of ``parse_address``."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def short_reason(details: str | None) -> str:
    """The end of gRPC's nested error text, where the cause stands."""
    return (details or "no reason given").rpartition(": ")[2].removesuffix("))")
