"""A real server that answers every kind of call under any service's name, and certificates to break it with."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from device_farm.addresses import SERVER_OPTIONS
from device_farm.coordinator.authority import Authority, server_credentials
from device_farm.coordinator.authorization import TokenCheck
from device_farm.coordinator.certificates import KeyPair

KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
CALL_TIMEOUT = 20.0


async def _echo(request: bytes, _: Any) -> bytes:
    return request


async def _echo_as_stream(request: bytes, _: Any) -> AsyncIterator[bytes]:
    yield request


async def _last(requests: AsyncIterator[bytes], _: Any) -> bytes:
    return [request async for request in requests][-1]


async def _echo_all(requests: AsyncIterator[bytes], _: Any) -> AsyncIterator[bytes]:
    async for request in requests:
        yield request


class AnyService(grpc.GenericRpcHandler):
    """Serves ``/any.Service/unary_unary`` and the three other kinds."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        return {
            "unary_unary": grpc.unary_unary_rpc_method_handler(_echo),
            "unary_stream": grpc.unary_stream_rpc_method_handler(_echo_as_stream),
            "stream_unary": grpc.stream_unary_rpc_method_handler(_last),
            "stream_stream": grpc.stream_stream_rpc_method_handler(_echo_all),
        }.get(handler_call_details.method.rpartition("/")[2])


@asynccontextmanager
async def serving(
    authority: Authority | None, host: str = "127.0.0.1", options: Any = SERVER_OPTIONS
) -> AsyncIterator[str]:
    """The address of a server: with TLS and tokens, or with neither."""
    interceptors = [] if authority is None else [TokenCheck(authority.token_sha256)]
    server = grpc.aio.server(interceptors=interceptors, options=options)
    server.add_generic_rpc_handlers((AnyService(),))
    if authority is None:
        port = server.add_insecure_port(f"{host}:0")
    else:
        port = server.add_secure_port(f"{host}:0", server_credentials(authority))
    await server.start()
    try:
        yield f"{host}:{port}"
    finally:
        await server.stop(None)


async def call(
    channel: grpc.aio.Channel,
    service: str = "device_farm.v1.Farm",
    kind: str = "unary_unary",
    metadata: Any = None,
    *,
    expect_refusal: bool = False,
) -> bytes | grpc.aio.AioRpcError:
    """What the server answers to ``b"hello"``: that, or its error.

    Nothing is sent on a stream that should be refused: where a server refuses it just as the client writes, gRPC
    for asyncio may lose the server's words (https://github.com/grpc/grpc/issues/36066).
    """
    invoke = getattr(channel, kind)(f"/{service}/{kind}")
    message: Any = b"hello"
    if kind.startswith("stream"):
        message = silence() if expect_refusal else iter([b"hello"])
    running = invoke(message, metadata=metadata, timeout=CALL_TIMEOUT)
    try:
        if kind.endswith("unary"):
            return await running
        return b"".join([answer async for answer in running])
    except grpc.aio.AioRpcError as error:
        return error


async def call_in_thread(
    channel: grpc.Channel, service: str = "device_farm.v1.Farm"
) -> bytes | grpc.RpcError:
    """``call`` for the synchronous kind of channel."""

    def blocking() -> bytes | grpc.RpcError:
        try:
            return channel.unary_unary(f"/{service}/unary_unary")(b"hello", timeout=CALL_TIMEOUT)
        except grpc.RpcError as error:
            return error

    return await asyncio.to_thread(blocking)


class Issuer:
    """A certificate authority of a test."""

    def __init__(self, name: str = "test issuer") -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.certificate = self._sign(self.name, self.key.public_key(), [], DAY, is_issuer=True)

    def issue(
        self,
        names: list[x509.GeneralName],
        key: Any = None,
        begins_in: timedelta = -timedelta(days=1),
        ends_in: timedelta = timedelta(days=1),
    ) -> tuple[bytes, bytes]:
        """A certificate and a key, in PEM."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a server")])
        certificate = self._sign(subject, key.public_key(), names, ends_in, begins_in=begins_in)
        return certificate.public_bytes(serialization.Encoding.PEM), key_to_pem(key)

    def to_pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def _sign(
        self,
        subject: x509.Name,
        key: Any,
        names: list[x509.GeneralName],
        ends_in: timedelta,
        *,
        begins_in: timedelta = -timedelta(days=1),
        is_issuer: bool = False,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + begins_in)
            .not_valid_after(now + ends_in)
            .add_extension(x509.BasicConstraints(ca=is_issuer, path_length=None), critical=True)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self.key, hashes.SHA256())


DAY = timedelta(days=1)


def key_to_pem(key: Any, encryption: Any = None) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        encryption or serialization.NoEncryption(),
    )


def key_pair_valid(begins_in: timedelta, ends_in: timedelta) -> KeyPair:
    """A pair for ``device-farm`` that is valid in that time only."""
    certificate, key = Issuer().issue([x509.DNSName("device-farm")], begins_in=begins_in, ends_in=ends_in)
    return KeyPair("device-farm", certificate.decode(), key.decode())


async def silence() -> AsyncIterator[bytes]:
    """Requests that never come."""
    await asyncio.Event().wait()
    yield b""
