"""What a worker or client shows a coordinator, and the channels that this opens.

A credentials file belongs to one role. It holds the coordinator's certificate, the only one that the channel
will trust (so any address of the coordinator will do, and no authority outside the farm has a say), and the
role's token, which travels over TLS only. Whoever has the file has the role: like a private key of ssh, it is
refused while others than its owner may read it.
"""

import json
import os
import re
import ssl
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

import grpc

from device_farm.addresses import CHANNEL_OPTIONS, Options, is_loopback, parse_address, short_reason

Role = Literal["worker", "user", "operator"]
ROLES: tuple[Role, ...] = get_args(Role)
CREDENTIALS_VARIABLE = "DEVICE_FARM_CREDENTIALS"

TOKEN_BYTES = 32
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")  # 32 bytes as unpadded URL-safe base64
_NAME_A_FILE = f"name a credentials file with --credentials FILE or in {CREDENTIALS_VARIABLE}"


class BadCredentials(ValueError):
    """A file of credentials cannot be used. The message names it and what is allowed, and never a secret."""


@dataclass(frozen=True)
class Credentials:
    """What a credentials file holds.

    Attributes:
        role: what the token permits: ``worker``, ``user`` or ``operator``.
        server_name: the name in the coordinator's certificate; it need not be a name of the network.
        certificate: the coordinator's certificate, or its chain, in PEM.
        token: the role's secret, 32 random bytes in URL-safe base64 without padding.

    Raises:
        BadCredentials: a value is not allowed.
    """

    role: Role
    server_name: str
    certificate: str = field(repr=False)
    token: str = field(repr=False)

    def __post_init__(self) -> None:
        for entry in fields(self):
            if not isinstance(getattr(self, entry.name), str):
                raise BadCredentials(f"{entry.name}: expected a text")
        if self.role not in ROLES:
            raise BadCredentials(f"role: expected {', '.join(ROLES)}, found {self.role!r}")
        if not re.fullmatch(r"[A-Za-z0-9.:-]+", self.server_name):
            raise BadCredentials(
                f"server_name: expected a name such as device-farm, found {self.server_name!r}"
            )
        if not _TOKEN.fullmatch(self.token):
            raise BadCredentials("token: expected 43 letters, digits, '-' or '_'")
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=self.certificate)
        except (ssl.SSLError, ValueError, TypeError):  # TypeError: there is more than ASCII in it
            raise BadCredentials("certificate: expected certificates in PEM") from None


def load_credentials(path: Path) -> Credentials:
    """A credentials file's content.

    Raises:
        BadCredentials: the file cannot be read, may be read by others than its owner, or is not what
            ``save_credentials`` writes: exactly those keys, none unknown, none twice.
    """
    text = read_private(path)
    try:
        return Credentials(**parse_object(text, [entry.name for entry in fields(Credentials)]))
    except BadCredentials as problem:
        raise BadCredentials(f"{path}: {problem}") from None


def default_credentials(environ: Mapping[str, str] = os.environ) -> Credentials | None:
    """The credentials in the file that DEVICE_FARM_CREDENTIALS names, None where it is not set or empty.

    Raises:
        BadCredentials: see ``load_credentials``.
    """
    path = environ.get(CREDENTIALS_VARIABLE)
    if not path:
        return None
    try:
        return load_credentials(Path(path))
    except BadCredentials as problem:
        raise BadCredentials(f"{CREDENTIALS_VARIABLE}: {problem}") from None


def save_credentials(credentials: Credentials, path: Path) -> None:
    """Writes a credentials file that its owner alone may read; replaces an older one at once or not at all."""
    write_private(path, json.dumps(asdict(credentials), indent=2) + "\n")


def open_channel(
    address: str, credentials: Credentials | None = None, options: Options = CHANNEL_OPTIONS
) -> grpc.Channel:
    """A channel to the coordinator at HOST:PORT; without credentials it is neither encrypted nor authenticated.

    Raises:
        ValueError: see ``check_address``.
    """
    check_address(address, credentials)
    if credentials is None:
        return grpc.insecure_channel(address, options)
    return grpc.secure_channel(address, _tls_with_token(credentials), _with_name(options, credentials))


def open_aio_channel(
    address: str, credentials: Credentials | None = None, options: Options = CHANNEL_OPTIONS
) -> grpc.aio.Channel:
    """``open_channel`` for asyncio. Must be called in the event loop that uses the channel."""
    check_address(address, credentials)
    if credentials is None:
        return grpc.aio.insecure_channel(address, options)
    return grpc.aio.secure_channel(address, _tls_with_token(credentials), _with_name(options, credentials))


def check_address(address: str, credentials: Credentials | None) -> None:
    """Whether a channel may be opened: plain text must not leave this machine.

    Raises:
        ValueError: the address is malformed, or not on loopback and there are no credentials.
    """
    host, _ = parse_address(address)
    if credentials is None and not is_loopback(host):
        raise ValueError(
            f"{address} is on another machine, so the connection must be encrypted: {_NAME_A_FILE}; the "
            "coordinator wrote one for each role into the folder credentials of its --state"
        )


def explain_connection_failure(details: str | None, address: str, credentials: Credentials | None) -> str:
    """Says why no connection came about, and what to do.

    Args:
        details: gRPC's text with the status UNAVAILABLE.
        address: the coordinator's HOST:PORT.
        credentials: those the channel was opened with.
    """
    text = details or ""
    never_connected = "failed to connect" in text
    if "certificate has expired" in text:
        return f"the certificate of {address} has expired: renew it there, or set this machine's clock"
    if "certificate is not yet valid" in text:
        return f"the certificate of {address} is not valid yet: set this machine's clock"
    if credentials is not None and "Hostname Verification Check failed" in text:
        return f"the certificate of {address} is not for {credentials.server_name}: copy its file again"
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return f"{address} is not the coordinator of this credentials file: copy the file from there again"
    if "WRONG_VERSION_NUMBER" in text:
        return (
            f"what answers at {address} does not speak TLS: start the coordinator there with --tls, or connect "
            "without credentials if it is on this machine"
        )
    if credentials is None and never_connected and _HUNG_UP.search(text):
        return f"it hung up at once; if its coordinator uses TLS, {_NAME_A_FILE}"
    return short_reason(details)


_HUNG_UP = re.compile("Socket closed|Connection reset|Broken pipe")


def _tls_with_token(credentials: Credentials) -> grpc.ChannelCredentials:
    """TLS that trusts one certificate, and a token that gRPC adds to each call on such a channel only."""
    return grpc.composite_channel_credentials(
        grpc.ssl_channel_credentials(root_certificates=credentials.certificate.encode("ascii")),
        grpc.access_token_call_credentials(credentials.token),
    )


def _with_name(options: Options, credentials: Credentials) -> Options:
    return [*options, ("grpc.ssl_target_name_override", credentials.server_name)]


def parse_object(text: str, keys: Collection[str]) -> dict[str, Any]:
    """A JSON object with exactly these keys. Raises BadCredentials, which shows no value."""
    try:
        value = json.loads(text, object_pairs_hook=_without_repetition)
    except (json.JSONDecodeError, RecursionError):
        raise BadCredentials("not a JSON file") from None
    if not isinstance(value, dict):
        raise BadCredentials(f"expected a JSON object with the keys {', '.join(keys)}")
    for key in value:
        if key not in keys:
            raise BadCredentials(f"unknown key {key!r}; allowed are {', '.join(keys)}")
    for key in keys:
        if key not in value:
            raise BadCredentials(f"the key {key!r} is missing")
    return value


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise BadCredentials(f"the key {key!r} is there twice")
    return dict(pairs)


def read_private(path: Path) -> str:
    """A file's text. Raises BadCredentials if it cannot be read, or if others than its owner may read it."""
    try:
        with path.open(encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode & 0o777
            if mode & 0o077:
                raise BadCredentials(f"{path}: others may read it (mode {mode:04o}); run: chmod 600 {path}")
            return file.read()
    except OSError as error:
        raise BadCredentials(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadCredentials(f"{path}: not a text file") from None


def write_private(path: Path, text: str) -> None:
    """Writes a file with mode 0600, durably, and atomically where one is there already."""
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    partial.replace(path)
