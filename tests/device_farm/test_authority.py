"""The coordinator's certificate and tokens: made once, kept, replaced when the folder is deleted."""

import asyncio
import json
import logging
import re
import shutil
import ssl
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from secure_server import Issuer, call, key_to_pem, serving

from device_farm.coordinator.authority import Authority, hash_token, open_authority
from device_farm.coordinator.certificates import KeyPair, make_key_pair, read_key_pair
from device_farm.credentials import ROLES, BadCredentials, Credentials, load_credentials, open_aio_channel

NOW = datetime.now(UTC)


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "state" / "credentials"


def credentials_in(folder: Path) -> dict[str, Credentials]:
    return {role: load_credentials(folder / f"{role}.json") for role in ROLES}


def answer(authority: Authority, credentials: Credentials) -> bytes | grpc.RpcError:
    async def ask() -> bytes | grpc.RpcError:
        async with serving(authority) as address, open_aio_channel(address, credentials) as channel:
            return await call(channel)

    return asyncio.run(ask())


def test_the_first_start_writes_private_files_for_the_coordinator_and_each_role(folder):
    authority = open_authority(folder)
    assert {path.name: path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir())} == {
        "credentials": 0o700,
        "coordinator.json": 0o600,
        "worker.json": 0o600,
        "user.json": 0o600,
        "operator.json": 0o600,
    }
    for role, credentials in credentials_in(folder).items():
        assert credentials.role == role
        assert credentials.server_name == "device-farm"
        assert credentials.certificate == authority.key_pair.certificate
        assert authority.token_sha256[role] == hash_token(credentials.token)
    assert len({credentials.token for credentials in credentials_in(folder).values()}) == 3


def test_the_coordinators_own_file_holds_no_token(folder):
    open_authority(folder)
    kept = (folder / "coordinator.json").read_text()
    assert not [
        credentials.role for credentials in credentials_in(folder).values() if credentials.token in kept
    ]


def test_the_next_start_finds_the_same_even_when_the_roles_files_were_moved_away(folder):
    made = open_authority(folder)
    kept = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert open_authority(folder) == made
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == kept
    for role in ROLES:
        (folder / f"{role}.json").unlink()
    assert open_authority(folder) == made
    assert [path.name for path in folder.iterdir()] == ["coordinator.json"]


def test_a_folder_that_others_could_enter_is_closed_to_them(folder):
    folder.mkdir(parents=True, mode=0o755)
    open_authority(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_deleting_the_folder_makes_every_copy_worthless(folder):
    first = open_authority(folder)
    old = credentials_in(folder)["user"]
    assert answer(first, old) == b"hello"
    shutil.rmtree(folder)
    second = open_authority(folder)
    assert answer(second, old).code() == grpc.StatusCode.UNAVAILABLE
    with_new_certificate = Credentials("user", "device-farm", second.key_pair.certificate, old.token)
    assert answer(second, with_new_certificate).code() == grpc.StatusCode.UNAUTHENTICATED
    assert answer(second, credentials_in(folder)["user"]) == b"hello"


def test_a_first_start_that_was_cut_off_begins_again(folder):
    open_authority(folder)
    (folder / "coordinator.json").unlink()
    (folder / "user.json").unlink()
    authority = open_authority(folder)
    assert answer(authority, credentials_in(folder)["user"]) == b"hello"
    assert {role: hash_token(entry.token) for role, entry in credentials_in(folder).items()} == dict(
        authority.token_sha256
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"extra": 1}, "unknown key 'extra'; allowed are certificate, key, token_sha256"),
        ({"key": 7}, "key: expected PEM"),
        ({"certificate": "é"}, "certificate: expected PEM"),
        (
            {"token_sha256": {"user": "0" * 64}},
            "token_sha256: expected an object with the keys worker, user, operator",
        ),
        (
            {"token_sha256": dict.fromkeys(ROLES, "0" * 63)},
            "token_sha256.worker: expected 64 hexadecimal digits",
        ),
    ],
)
def test_a_damaged_file_of_the_coordinator_is_named_with_the_way_out(folder, change, message):
    open_authority(folder)
    path = folder / "coordinator.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(BadCredentials) as refused:
        open_authority(folder)
    advice = f"deleting the folder {folder} makes new credentials for everybody"
    assert str(refused.value) == f"{path}: {message} ({advice})"


def test_a_key_that_others_may_read_is_refused(folder):
    open_authority(folder)
    path = folder / "coordinator.json"
    path.chmod(0o644)
    with pytest.raises(BadCredentials, match=re.escape(f"{path}: others may read it (mode 0644)")):
        open_authority(folder)


def test_the_certificate_made_here_is_a_servers_for_one_name_and_without_end():
    pair = make_key_pair()
    certificate = x509.load_pem_x509_certificate(pair.certificate.encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [pair.server_name] == ["device-farm"]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert f"{certificate.not_valid_after_utc:%Y-%m-%d}" == "9999-12-31"
    assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
    assert certificate.public_key().curve.name == "secp256r1"
    certificate.verify_directly_issued_by(certificate)


def test_another_tls_library_accepts_the_certificate_under_its_name(tmp_path):
    """OpenSSL, where gRPC has BoringSSL: in memory, from the first to the last message of the handshake."""
    pair = make_key_pair()
    (tmp_path / "both.pem").write_text(pair.key + pair.certificate)
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(tmp_path / "both.pem")
    client_side = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_side.load_verify_locations(cadata=pair.certificate)
    client_side.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_side.wrap_bio(to_client, to_server, server_hostname="device-farm")
    server = server_side.wrap_bio(to_server, to_client, server_side=True)
    waiting = [client, server]
    while waiting:
        side = waiting.pop(0)
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            waiting.append(side)
    assert client.version() == "TLSv1.3"


def test_only_making_or_reading_a_certificate_needs_cryptography(folder, monkeypatch):
    script = "import sys, device_farm.coordinator.authorization; print('cryptography' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", script], text=True) == "False\n"
    made = open_authority(folder)
    monkeypatch.setitem(sys.modules, "cryptography", None)  # as if it were not installed
    assert open_authority(folder) == made
    needed = r"^making or reading certificates needs a library: pip install 'depth-sweep\[coordinator\]'$"
    with pytest.raises(BadCredentials, match=needed):
        open_authority(folder / "new")
    with pytest.raises(BadCredentials, match=needed):
        read_key_pair(folder / "a.pem", folder / "a.key", NOW)


# ---- a certificate of one's own -------------------------------------------------------------------------------


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


def files(tmp_path: Path, certificate: bytes, key: bytes) -> tuple[Path, Path]:
    (tmp_path / "server.pem").write_bytes(certificate)
    (tmp_path / "server.key").write_bytes(key)
    return tmp_path / "server.pem", tmp_path / "server.key"


@pytest.mark.parametrize(
    ("names", "server_name"),
    [
        ([x509.DNSName("farm.example"), x509.DNSName("other.example")], "farm.example"),
        ([x509.DNSName("*.example")], "device-farm.example"),
        ([x509.IPAddress(ip_address("192.0.2.7"))], "192.0.2.7"),
        ([x509.IPAddress(ip_address("2001:db8::7"))], "2001:db8::7"),
        ([x509.IPAddress(ip_address("192.0.2.7")), x509.DNSName("farm.example")], "farm.example"),
    ],
)
@pytest.mark.parametrize(
    "key",
    [ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)],
    ids=["P-384", "RSA"],
)
def test_a_certificate_of_ones_own_serves_whatever_its_name(
    tmp_path, folder, issuer, key, names, server_name
):
    own = read_key_pair(*files(tmp_path, *issuer.issue(names, key)), NOW)
    assert own.server_name == server_name
    authority = open_authority(folder, own)
    credentials = credentials_in(folder)["user"]
    assert (credentials.server_name, credentials.certificate) == (server_name, own.certificate)
    assert answer(authority, credentials) == b"hello"


def test_a_new_certificate_keeps_the_tokens_and_reaches_the_files_still_there(
    tmp_path, folder, issuer, caplog
):
    open_authority(folder)
    before = credentials_in(folder)
    (folder / "worker.json").unlink()
    own = read_key_pair(*files(tmp_path, *issuer.issue([x509.DNSName("farm.example")])), NOW)
    with caplog.at_level(logging.WARNING, logger="device_farm"):
        authority = open_authority(folder, own)
    assert [record.getMessage() for record in caplog.records] == [
        f"the coordinator's certificate changed: {folder / f'{role}.json'} holds the new one"
        for role in ("user", "operator")
    ]
    after = load_credentials(folder / "user.json")
    assert after == Credentials("user", "farm.example", own.certificate, before["user"].token)
    assert answer(authority, after) == b"hello"
    assert answer(authority, before["user"]).code() == grpc.StatusCode.UNAVAILABLE
    assert not (folder / "worker.json").exists()
    open_authority(folder)
    assert load_credentials(folder / "user.json") == before["user"]


def test_a_renewed_certificate_of_the_same_issuer_needs_no_new_files(tmp_path, folder, issuer):
    def issued() -> KeyPair:
        certificate, key = issuer.issue([x509.DNSName("farm.example")])
        return read_key_pair(*files(tmp_path, certificate + issuer.to_pem(), key), NOW)

    open_authority(folder, issued())
    copied = credentials_in(folder)["user"]
    assert answer(open_authority(folder, issued()), copied) == b"hello"


def test_a_key_kept_in_the_certificates_file_does_not_reach_the_credentials(tmp_path, folder, issuer):
    certificate, key = issuer.issue([x509.DNSName("farm.example")])
    both = tmp_path / "both.pem"
    both.write_bytes(key + certificate)
    open_authority(folder, read_key_pair(both, both, NOW))
    assert "PRIVATE" not in "".join((folder / f"{role}.json").read_text() for role in ROLES)


def test_what_cannot_serve_is_refused_with_its_file_and_reason(tmp_path, issuer):
    names = [x509.DNSName("farm.example")]
    good_certificate, good_key = issuer.issue(names)
    locked = key_to_pem(
        ec.generate_private_key(ec.SECP256R1()), serialization.BestAvailableEncryption(b"secret")
    )
    expired = issuer.issue(names, begins_in=timedelta(days=-3), ends_in=timedelta(days=-2))
    ended = x509.load_pem_x509_certificate(expired[0]).not_valid_after_utc
    certificate, key = tmp_path / "server.pem", tmp_path / "server.key"
    kinds = f"{key}: expected a key on the curve P-256 or P-384, or RSA of at least 2048 bits"
    nameless = (
        f"{certificate}: names no server (it needs a DNS name or an IP address as its alternative name)"
    )
    cases = [
        ((good_key, good_key), f"{certificate}: expected a certificate in PEM"),
        ((good_certificate[:200], good_key), f"{certificate}: expected a certificate in PEM"),
        ((good_certificate, good_certificate), f"{key}: expected a private key in PEM"),
        ((good_certificate, locked), f"{key}: the key is encrypted; store it without a passphrase"),
        ((good_certificate, issuer.issue(names)[1]), f"{key}: not the key of the certificate {certificate}"),
        (expired, f"{certificate}: expired at {ended:%Y-%m-%d %H:%M} UTC"),
        (issuer.issue([]), nameless),
        (issuer.issue([x509.RFC822Name("a@farm.example")]), nameless),
        (issuer.issue(names, ed25519.Ed25519PrivateKey.generate()), kinds),
        (issuer.issue(names, ec.generate_private_key(ec.SECP521R1())), kinds),
    ]
    told = []
    for pems, _ in cases:
        with pytest.raises(BadCredentials) as refused:
            read_key_pair(*files(tmp_path, *pems), NOW)
        told.append(str(refused.value))
    assert told == [message for _, message in cases]
    with pytest.raises(BadCredentials, match=r"none\.pem: No such file or directory$"):
        read_key_pair(tmp_path / "none.pem", key, NOW)
