"""Credentials files are private and strictly read; channels are encrypted, pinned, and say what went wrong."""

import asyncio
import json
import os
import re
import socket
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from hypothesis import assume, given
from hypothesis import strategies as st
from secure_server import DAY, Issuer, call, call_in_thread, key_pair_valid, serving

from device_farm.coordinator.authority import Authority, open_authority
from device_farm.coordinator.certificates import KeyPair, make_key_pair
from device_farm.credentials import (
    ROLES,
    BadCredentials,
    Credentials,
    default_credentials,
    explain_connection_failure,
    load_credentials,
    open_aio_channel,
    open_channel,
    save_credentials,
)

CERTIFICATE = make_key_pair().certificate
TOKEN = "T0ken-" + "x" * 37
GOOD = {"role": "user", "server_name": "device-farm", "certificate": CERTIFICATE, "token": TOKEN}


def written(path: Path, content: object, mode: int = 0o600) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    path.chmod(mode)
    return path


# ---- the file -------------------------------------------------------------------------------------------------


@given(st.sampled_from(ROLES), st.from_regex(r"[A-Za-z0-9_-]{43}", fullmatch=True))
def test_what_is_saved_is_what_is_loaded(tmp_path_factory, role, token):
    path = tmp_path_factory.mktemp("saved") / "me.json"
    credentials = Credentials(role, "device-farm", CERTIFICATE, token)
    save_credentials(credentials, path)
    assert load_credentials(path) == credentials


def test_a_saved_file_is_its_owners_alone_whatever_was_there_before(tmp_path):
    path = written(tmp_path / "me.json", "old", mode=0o666)
    written(tmp_path / "me.partial", "left by a crash", mode=0o666)
    umask = os.umask(0)
    try:
        save_credentials(Credentials(**GOOD), path)
    finally:
        os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["me.json"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620, 0o610])
def test_a_file_that_others_may_use_is_refused(tmp_path, mode):
    path = written(tmp_path / "me.json", GOOD, mode)
    with pytest.raises(BadCredentials) as refused:
        load_credentials(path)
    assert str(refused.value) == f"{path}: others may read it (mode {mode:04o}); run: chmod 600 {path}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not a JSON file"),
        (json.dumps(GOOD)[:-1], "not a JSON file"),
        ("[" * 100_000, "not a JSON file"),
        ([GOOD], "expected a JSON object with the keys role, server_name, certificate, token"),
        (
            {**GOOD, "tokens": TOKEN},
            "unknown key 'tokens'; allowed are role, server_name, certificate, token",
        ),
        ({key: GOOD[key] for key in ("role", "server_name", "token")}, "the key 'certificate' is missing"),
        (json.dumps(GOOD)[:-1] + ', "role": "operator"}', "the key 'role' is there twice"),
        ({**GOOD, "role": "admin"}, "role: expected worker, user, operator, found 'admin'"),
        ({**GOOD, "role": None}, "role: expected a text"),
        (
            {**GOOD, "server_name": ""},
            "server_name: expected a name such as device-farm, found ''",
        ),
        ({**GOOD, "token": TOKEN[1:]}, "token: expected 43 letters, digits, '-' or '_'"),
        ({**GOOD, "token": TOKEN + "\n"}, "token: expected 43 letters, digits, '-' or '_'"),
        ({**GOOD, "certificate": ""}, "certificate: expected certificates in PEM"),
        ({**GOOD, "certificate": "é"}, "certificate: expected certificates in PEM"),
        (
            {**GOOD, "certificate": CERTIFICATE.replace("\nM", "\nN", 1)},
            "certificate: expected certificates in PEM",
        ),
    ],
)
def test_a_file_that_is_not_as_saved_is_refused_by_name(tmp_path, content, message):
    path = written(tmp_path / "me.json", content)
    with pytest.raises(BadCredentials, match=f"^{re.escape(f'{path}: {message}')}$"):
        load_credentials(path)


def test_a_file_that_is_missing_or_no_text_is_refused_by_name(tmp_path):
    with pytest.raises(BadCredentials, match=r"none\.json: No such file or directory$"):
        load_credentials(tmp_path / "none.json")
    with pytest.raises(BadCredentials, match=f"^{tmp_path}: Is a directory$"):
        load_credentials(tmp_path)
    path = written(tmp_path / "binary.json", "")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadCredentials, match=r"binary\.json: not a text file$"):
        load_credentials(path)


@given(
    st.sampled_from(sorted(GOOD)),
    st.text(min_size=1) | st.recursive(st.none() | st.booleans() | st.integers(), st.lists, max_leaves=3),
)
def test_no_wrong_value_gets_through_or_shows_the_secrets(key, value):
    assume(not is_allowed(key, value))
    with pytest.raises(BadCredentials, match=f"^{key}: expected ") as refused:
        Credentials(**{**GOOD, key: value})
    assert TOKEN not in str(refused.value)
    assert CERTIFICATE not in str(refused.value)


def is_allowed(key: str, value: object) -> bool:
    """Of the texts that Hypothesis makes; it makes no certificate."""
    patterns = {"role": "|".join(ROLES), "server_name": "[A-Za-z0-9.:-]+", "token": "[A-Za-z0-9_-]{43}"}
    return isinstance(value, str) and key in patterns and bool(re.fullmatch(patterns[key], value))


@given(st.binary(max_size=300))
def test_random_bytes_are_refused_by_name(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("random") / "me.json"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(BadCredentials, match=f"^{path}: "):
        load_credentials(path)


def test_secrets_are_not_in_the_texts_of_objects():
    credentials, pair = Credentials(**GOOD), make_key_pair()
    told = f"{credentials!r} {credentials} {pair!r} {Authority(pair, {})!r}"
    assert TOKEN not in told
    assert "PRIVATE" not in told
    assert repr(credentials) == "Credentials(role='user', server_name='device-farm')"


def test_the_environment_variable_names_a_file(tmp_path):
    path = written(tmp_path / "me.json", GOOD)
    assert default_credentials({}) is None
    assert default_credentials({"DEVICE_FARM_CREDENTIALS": ""}) is None
    assert default_credentials({"DEVICE_FARM_CREDENTIALS": str(path)}) == Credentials(**GOOD)
    with pytest.raises(
        BadCredentials, match=r"^DEVICE_FARM_CREDENTIALS: /nowhere: No such file or directory$"
    ):
        default_credentials({"DEVICE_FARM_CREDENTIALS": "/nowhere"})


# ---- the channel ----------------------------------------------------------------------------------------------


@pytest.fixture
def authority(tmp_path) -> Authority:
    return open_authority(tmp_path / "credentials")


@pytest.fixture
def credentials(authority, tmp_path) -> Credentials:
    """Those of a user of ``authority``."""
    assert authority.token_sha256
    return load_credentials(tmp_path / "credentials" / "user.json")


def answer_at(address: str, credentials: Credentials | None) -> bytes | grpc.RpcError:
    """What a user's call brings at an address."""

    async def ask() -> bytes | grpc.RpcError:
        async with open_aio_channel(address, credentials) as channel:
            return await call(channel)

    return asyncio.run(ask())


@pytest.mark.parametrize("opening", [open_channel, open_aio_channel])
@pytest.mark.parametrize("address", ["10.0.0.7:50051", "0.0.0.0:50051", "farm.example:1", "[fe80::1]:50051"])
def test_plain_text_does_not_leave_the_machine(opening, address):
    with pytest.raises(ValueError, match=r".") as refused:
        opening(address)
    assert str(refused.value) == (
        f"{address} is on another machine, so the connection must be encrypted: name a credentials file with "
        "--credentials FILE or in DEVICE_FARM_CREDENTIALS; the coordinator wrote one for each role into the "
        "folder credentials of its --state"
    )


@pytest.mark.parametrize("opening", [open_channel, open_aio_channel])
@pytest.mark.parametrize("given_credentials", [None, Credentials(**GOOD)])
def test_a_malformed_address_is_refused(opening, given_credentials):
    with pytest.raises(ValueError, match=r"^address 'nonsense': expected HOST:PORT"):
        opening("nonsense", given_credentials)


def test_without_credentials_loopback_is_plain_text():
    async def asked() -> tuple[object, object]:
        async with serving(None) as address:
            async with open_aio_channel(address) as channel:
                first = await call(channel)
            with open_channel(address) as blocking:
                return first, await call_in_thread(blocking)

    assert asyncio.run(asked()) == (b"hello", b"hello")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "[::1]"])
def test_credentials_open_the_coordinator_by_any_of_its_addresses(authority, credentials, host):
    async def asked() -> tuple[object, object]:
        async with serving(authority, host) as address:
            async with open_aio_channel(address, credentials) as channel:
                first = await call(channel)
            with open_channel(address, credentials) as blocking:
                return first, await call_in_thread(blocking)

    assert asyncio.run(asked()) == (b"hello", b"hello")


# ---- what goes wrong ------------------------------------------------------------------------------------------


def explained(
    serving_authority: Authority | None, shown: Credentials | None, *, blocking: bool
) -> tuple[str, str]:
    """The explanation of a failed call, and the address."""

    async def ask() -> tuple[grpc.RpcError, str]:
        async with serving(serving_authority) as address:
            if blocking:
                with open_channel(address, shown) as channel:
                    return await call_in_thread(channel), address
            async with open_aio_channel(address, shown) as channel:
                return await call(channel), address

    error, address = asyncio.run(ask())
    assert error.code() == grpc.StatusCode.UNAVAILABLE
    return explain_connection_failure(error.details(), address, shown), address


both_kinds = pytest.mark.parametrize("blocking", [False, True])


@both_kinds
def test_another_coordinators_credentials_are_told_so(tmp_path, credentials, blocking):
    other = open_authority(tmp_path / "other")
    text, address = explained(other, credentials, blocking=blocking)
    assert text == (
        f"{address} is not the coordinator of this credentials file: copy the file from there again"
    )


@pytest.mark.parametrize(
    ("begins_in", "ends_in", "message"),
    [
        (-2 * DAY, -DAY, "has expired: renew it there, or set this machine's clock"),
        (DAY, 2 * DAY, "is not valid yet: set this machine's clock"),
    ],
)
def test_a_certificate_out_of_its_time_is_told_so(
    tmp_path, begins_in: timedelta, ends_in: timedelta, message: str
):
    authority = open_authority(tmp_path / "credentials", key_pair_valid(begins_in, ends_in))
    credentials = load_credentials(tmp_path / "credentials" / "user.json")
    text, address = explained(authority, credentials, blocking=False)
    assert text == f"the certificate of {address} {message}"


def test_a_certificate_for_another_name_is_told_so(tmp_path):
    pem, key = Issuer().issue([x509.DNSName("farm.example")])
    authority = open_authority(tmp_path / "credentials", KeyPair("device-farm", pem.decode(), key.decode()))
    credentials = load_credentials(tmp_path / "credentials" / "user.json")
    text, address = explained(authority, credentials, blocking=False)
    assert text == f"the certificate of {address} is not for device-farm: copy its file again"


@both_kinds
def test_credentials_for_a_coordinator_without_tls_are_told_so(credentials, blocking):
    text, address = explained(None, credentials, blocking=blocking)
    assert text == (
        f"what answers at {address} does not speak TLS: start the coordinator there with --tls, or connect "
        "without credentials if it is on this machine"
    )


@both_kinds
def test_plain_text_to_a_coordinator_with_tls_is_told_so(authority, blocking):
    text, _ = explained(authority, None, blocking=blocking)
    assert text == (
        "it hung up at once; if its coordinator uses TLS, name a credentials file with "
        "--credentials FILE or in DEVICE_FARM_CREDENTIALS"
    )


def test_an_address_where_nobody_listens_is_told_so(credentials):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    for shown in (None, credentials):
        error = answer_at(address, shown)
        assert explain_connection_failure(error.details(), address, shown) == "Connection refused"


def test_a_broken_connection_is_not_taken_for_missing_credentials():
    assert explain_connection_failure("Socket closed", "127.0.0.1:1", None) == "Socket closed"
    assert explain_connection_failure(None, "127.0.0.1:1", None) == "no reason given"


def test_the_token_is_not_sent_to_a_server_that_cannot_prove_itself(credentials):
    """Neither to one that speaks plain text nor to one with another certificate (it would read both)."""
    received = bytearray()

    async def record(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")  # HTTP/2's empty SETTINGS
        while data := await reader.read(65536):
            received.extend(data)
        writer.close()

    async def ask() -> grpc.StatusCode:
        listener = await asyncio.start_server(record, "127.0.0.1", 0)
        async with listener:
            address = f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
            async with open_aio_channel(address, credentials) as channel:
                return (await call(channel)).code()

    assert asyncio.run(ask()) == grpc.StatusCode.UNAVAILABLE
    assert received
    assert credentials.token.encode() not in received
    assert b"authorization" not in received
