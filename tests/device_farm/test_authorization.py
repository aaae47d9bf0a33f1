"""Each role may call its own services and nothing else, over real connections and for every kind of call."""

import asyncio
import logging
from pathlib import Path

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from secure_server import KINDS, call, serving, silence

from device_farm.coordinator.authority import Authority, hash_token, open_authority
from device_farm.coordinator.authorization import ALLOWED_ROLES, Refusal, refusal_of
from device_farm.credentials import ROLES, Credentials, load_credentials, open_aio_channel
from device_farm.rpc import farm_pb2

FARM, FLEET, OPERATIONS = "device_farm.v1.Farm", "device_farm.v1.Fleet", "device_farm.v1.Operations"
NO_TOKEN = (
    "this coordinator asks for a token: name a credentials file with --credentials FILE or in "
    "DEVICE_FARM_CREDENTIALS"
)
UNKNOWN_TOKEN = (
    "this coordinator does not know the token: copy the credentials file from its state folder again"
)
TOKENS = {"worker": "w" * 43, "user": "u" * 43, "operator": "o" * 43}
HASHES = {role: hash_token(token) for role, token in TOKENS.items()}


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "credentials"


@pytest.fixture
def authority(folder) -> Authority:
    return open_authority(folder)


@pytest.fixture
def credentials(folder) -> dict[str, Credentials]:
    open_authority(folder)
    return {role: load_credentials(folder / f"{role}.json") for role in ROLES}


def test_every_service_of_the_wire_format_is_in_the_table():
    assert set(ALLOWED_ROLES) == {
        service.full_name for service in farm_pb2.DESCRIPTOR.services_by_name.values()
    }


def test_each_role_reaches_its_own_services_with_every_kind_of_call(authority, credentials):
    allowed = {("worker", FLEET), ("user", FARM), ("operator", FARM), ("operator", OPERATIONS)}

    async def served() -> set[tuple[str, str, str]]:
        reached = set()
        async with serving(authority) as address:
            for role in ROLES:
                async with open_aio_channel(address, credentials[role]) as channel:
                    for service in (FARM, FLEET, OPERATIONS):
                        for kind in KINDS:
                            refused = (role, service) not in allowed
                            answer = await call(channel, service, kind, expect_refusal=refused)
                            if answer == b"hello":
                                reached.add((role, service, kind))
                            else:
                                assert answer.code() == grpc.StatusCode.PERMISSION_DENIED
        return reached

    assert asyncio.run(served()) == {(*pair, kind) for pair in allowed for kind in KINDS}


@pytest.mark.parametrize(
    ("role", "service", "message"),
    [
        (
            "worker",
            FARM,
            "credentials of the role worker do not permit Farm.unary_unary: it takes the role user or operator",
        ),
        (
            "user",
            OPERATIONS,
            "credentials of the role user do not permit Operations.unary_unary: it takes the role operator",
        ),
        (
            "operator",
            FLEET,
            "credentials of the role operator do not permit Fleet.unary_unary: it takes the role worker",
        ),
        (
            "operator",
            "some.Other",
            "credentials of the role operator do not permit Other.unary_unary: no role may",
        ),
    ],
)
def test_the_wrong_role_is_told_which_one_it_takes(authority, credentials, role, service, message):
    async def refused() -> grpc.aio.AioRpcError:
        async with serving(authority) as address, open_aio_channel(address, credentials[role]) as channel:
            return await call(channel, service)

    error = asyncio.run(refused())
    assert (error.code(), error.details()) == (grpc.StatusCode.PERMISSION_DENIED, message)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ((), NO_TOKEN),
        ((("authorization", ""),), NO_TOKEN),
        ((("authorization", "Bearer "),), NO_TOKEN),
        ((("authorization", "Basic dXNlcjpwYXNz"),), NO_TOKEN),
        ((("authorization", "Bearer wrong"),), UNKNOWN_TOKEN),
    ],
)
def test_a_call_without_a_known_token_is_refused(authority, kind, metadata, message):
    async def refused() -> grpc.aio.AioRpcError:
        trusting = grpc.ssl_channel_credentials(authority.key_pair.certificate.encode())
        options = [("grpc.ssl_target_name_override", "device-farm")]
        async with (
            serving(authority) as address,
            grpc.aio.secure_channel(address, trusting, options) as channel,
        ):
            return await call(channel, FARM, kind, metadata, expect_refusal=True)

    error = asyncio.run(refused())
    assert (error.code(), error.details()) == (grpc.StatusCode.UNAUTHENTICATED, message)


def test_an_upload_is_refused_before_anything_of_it_is_read(authority, credentials):
    async def refused() -> grpc.StatusCode:
        async with serving(authority) as address, open_aio_channel(address, credentials["worker"]) as channel:
            upload = channel.stream_unary(f"/{FARM}/stream_unary")(silence())
            return await upload.code()

    assert asyncio.run(refused()) == grpc.StatusCode.PERMISSION_DENIED


def test_a_worker_that_waits_for_the_coordinator_to_speak_first_is_refused_all_the_same(
    authority, credentials
):
    async def refused() -> grpc.StatusCode:
        async with serving(authority) as address, open_aio_channel(address, credentials["user"]) as channel:
            return await channel.stream_stream(f"/{FLEET}/stream_stream")().code()

    assert asyncio.run(refused()) == grpc.StatusCode.PERMISSION_DENIED


def test_refusals_are_logged_with_their_peer_and_without_the_token(authority, credentials, caplog):
    async def refused() -> list[grpc.aio.AioRpcError]:
        stranger = Credentials("user", "device-farm", credentials["user"].certificate, "x" * 43)
        errors = []
        async with serving(authority) as address:
            for shown in (credentials["worker"], stranger):
                async with open_aio_channel(address, shown) as channel:
                    errors.append(await call(channel, FARM))
        return errors

    with caplog.at_level(logging.DEBUG):
        errors = asyncio.run(refused())
    lines = [
        record.getMessage()
        for record in caplog.records
        if record.name == "device_farm.coordinator.authorization"
    ]
    assert [line.partition(" from ipv4:127.0.0.1:")[0] for line in lines] == [
        f"refused /{FARM}/unary_unary",
        f"refused /{FARM}/unary_unary",
    ]
    assert [line.rpartition(": ")[2] for line in lines] == ["PERMISSION_DENIED", "UNAUTHENTICATED"]
    told = "".join([caplog.text, *map(str, errors), *map(repr, errors)])
    assert not [
        secret for secret in ("x" * 43, *(entry.token for entry in credentials.values())) if secret in told
    ]


@given(st.text(), st.sampled_from([f"/{FARM}/Measure", f"/{FLEET}/Work", "", "/", "//", "Measure"]))
def test_no_other_text_than_a_token_opens_anything(text, method):
    for authorization in (None, text, f"Bearer {text}"):
        refusal = refusal_of(method, authorization, HASHES)
        assert refusal is not None
        assert refusal.code == grpc.StatusCode.UNAUTHENTICATED


@given(st.sampled_from(ROLES), st.text())
def test_a_token_opens_nothing_outside_the_table(role, method):
    refusal = refusal_of(method, f"Bearer {TOKENS[role]}", HASHES)
    assert isinstance(refusal, Refusal)
    assert refusal.code == grpc.StatusCode.PERMISSION_DENIED
