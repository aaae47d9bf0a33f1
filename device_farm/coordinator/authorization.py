"""Who may call what: one table, and the server's interceptor that holds every call against it."""

import hmac
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc

from device_farm.coordinator.authority import hash_token
from device_farm.credentials import CREDENTIALS_VARIABLE, Role

# What is not in the table, nobody may call.
ALLOWED_ROLES: Mapping[str, tuple[Role, ...]] = {
    "device_farm.v1.Fleet": ("worker",),
    "device_farm.v1.Farm": ("user", "operator"),
    "device_farm.v1.Operations": ("operator",),
}

# A string, for gRPC's class is generic to the type checker only; None: there is no such method.
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Refusal:
    """Why a call is not served."""

    code: grpc.StatusCode
    message: str


_NO_TOKEN = Refusal(
    grpc.StatusCode.UNAUTHENTICATED,
    "this coordinator asks for a token: name a credentials file with --credentials FILE or in "
    + CREDENTIALS_VARIABLE,
)
_UNKNOWN_TOKEN = Refusal(
    grpc.StatusCode.UNAUTHENTICATED,
    "this coordinator does not know the token: copy the credentials file from its state folder again",
)


def refusal_of(method: str, authorization: str | None, token_sha256: Mapping[Role, bytes]) -> Refusal | None:
    """Whether a call is refused; None: it is allowed.

    Args:
        method: the call's path, ``/package.Service/Method``.
        authorization: the value of its metadata ``authorization``, expected to be ``Bearer TOKEN``.
        token_sha256: the SHA-256 of each role's token.
    """
    scheme, _, token = (authorization or "").partition(" ")
    if scheme != "Bearer" or not token:
        return _NO_TOKEN
    role = _role_of(hash_token(token), token_sha256)
    if role is None:
        return _UNKNOWN_TOKEN
    service, _, name = method.removeprefix("/").partition("/")
    allowed = ALLOWED_ROLES.get(service, ())
    if role in allowed:
        return None
    call = f"{service.rpartition('.')[2]}.{name}"
    needed = f"it takes the role {' or '.join(allowed)}" if allowed else "no role may"
    return Refusal(
        grpc.StatusCode.PERMISSION_DENIED, f"credentials of the role {role} do not permit {call}: {needed}"
    )


class TokenCheck(grpc.aio.ServerInterceptor):
    """Lets a call through if its token's role may make it, and ends it before it sends anything otherwise."""

    def __init__(self, token_sha256: Mapping[Role, bytes]) -> None:
        self._token_sha256 = dict(token_sha256)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        authorization = _authorization(handler_call_details.invocation_metadata)
        refusal = refusal_of(handler_call_details.method, authorization, self._token_sha256)
        if refusal is None:
            return await continuation(handler_call_details)
        return _refusing(refusal, handler_call_details.method)


def _role_of(digest: bytes, token_sha256: Mapping[Role, bytes]) -> Role | None:
    """The role whose token it is. Takes as long for every answer, so that time tells nothing of the tokens."""
    found: Role | None = None
    for role, expected in token_sha256.items():
        if hmac.compare_digest(digest, expected):
            found = role
    return found


def _authorization(metadata: Iterable[tuple[str, str | bytes]]) -> str | None:
    for key, value in metadata:
        if key == "authorization" and isinstance(value, str):
            return value
    return None


def _refusing(refusal: Refusal, method: str) -> Handler:
    """Streams both ways suit every kind of call, and read nothing of what an unknown client sends."""

    async def refuse(requests: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        del requests
        logger.warning("refused %s from %s: %s", method, context.peer(), refusal.code.name)
        await context.abort(refusal.code, refusal.message)

    return grpc.stream_stream_rpc_method_handler(refuse)
