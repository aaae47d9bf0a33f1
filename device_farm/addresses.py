"""HOST:PORT addresses and the options of the channels to them."""

import ipaddress
from collections.abc import Sequence

Options = Sequence[tuple[str, str | int]]

# A peer that lost its power or its network closes nothing: TCP alone would wait for it for hours. So both sides
# ask every KEEPALIVE_MS whether the other is there, and give it up when KEEPALIVE_TIMEOUT_MS pass without answer.
KEEPALIVE_MS = 10_000
KEEPALIVE_TIMEOUT_MS = 10_000
_KEEPALIVE: Options = (
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
    # Its default of a minute would win over the line above.
    ("grpc.http2.ping_timeout_ms", KEEPALIVE_TIMEOUT_MS),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),  # 0: no limit; a worker's stream may be silent for hours
)

# A proxy of the environment must not come between the peers; a fresh channel must not inherit the waiting time
# of an earlier one's failures.
CHANNEL_OPTIONS: Options = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2000),
    *_KEEPALIVE,
)
SERVER_OPTIONS: Options = (
    ("grpc.so_reuseport", 0),  # else a second coordinator could silently share the port
    *_KEEPALIVE,
    # Pings that come faster than this make the server close the connection; well below the clients' interval.
    ("grpc.http2.min_ping_interval_without_data_ms", KEEPALIVE_MS // 2),
)


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
