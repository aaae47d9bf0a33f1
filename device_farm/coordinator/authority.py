"""What a coordinator proves itself with and whom it lets in: its certificate, and the hashes of three tokens.

Both are made at the coordinator's first start with TLS, in a folder of its state:

    credentials/coordinator.json                    the key, the certificate, the tokens' hashes
    credentials/{worker,user,operator}.json         one file per role, to be copied to the devices and people

The coordinator needs only the first. Whoever deletes the folder gets a new certificate and new tokens at the next
start, and every copy made before is worthless.
"""

import hashlib
import json
import logging
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import grpc

from device_farm.coordinator.certificates import SERVER_NAME, KeyPair, make_key_pair
from device_farm.credentials import (
    ROLES,
    TOKEN_BYTES,
    BadCredentials,
    Credentials,
    Role,
    load_credentials,
    parse_object,
    read_private,
    save_credentials,
    write_private,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Authority:
    """What the coordinator needs to serve with TLS and tokens. The tokens themselves are not among it."""

    key_pair: KeyPair
    token_sha256: Mapping[Role, bytes]


def open_authority(folder: Path, own: KeyPair | None = None) -> Authority:
    """The authority kept in the folder; made there, with the roles' credentials files, if there is none yet.

    Args:
        folder: ``credentials`` in the coordinator's state folder, whose lock the caller holds.
        own: a certificate to use instead of the one made here; the credentials files that are still in the folder
            get it, too.

    Raises:
        BadCredentials: a file in the folder is damaged or readable by others, or cryptography is missing.
        OSError: the folder cannot be written.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    kept = folder / "coordinator.json"
    authority = _load(kept) if kept.exists() else _make(folder)
    if own is not None:
        authority = replace(authority, key_pair=own)
    _update_credentials_files(folder, authority.key_pair)
    return authority


def server_credentials(authority: Authority) -> grpc.ServerCredentials:
    """For ``add_secure_port``. The port accepts any TLS client: it is the token that says who calls."""
    pair = authority.key_pair
    return grpc.ssl_server_credentials([(pair.key.encode("ascii"), pair.certificate.encode("ascii"))])


def hash_token(token: str) -> bytes:
    """The token's SHA-256; a fast hash is enough for 256 random bits."""
    return hashlib.sha256(token.encode("utf-8")).digest()


def _make(folder: Path) -> Authority:
    """Writes the coordinator's own file last, so that a start cut off before it simply begins again."""
    pair = make_key_pair()
    tokens: dict[Role, str] = {role: secrets.token_urlsafe(TOKEN_BYTES) for role in ROLES}
    for role, token in tokens.items():
        save_credentials(
            Credentials(role, pair.server_name, pair.certificate, token), folder / f"{role}.json"
        )
    hashed = {role: hash_token(token) for role, token in tokens.items()}
    content = {
        "certificate": pair.certificate,
        "key": pair.key,
        "token_sha256": {role: digest.hex() for role, digest in hashed.items()},
    }
    write_private(folder / "coordinator.json", json.dumps(content, indent=2) + "\n")
    logger.info("made a certificate and the credentials files %s in %s", ", ".join(ROLES), folder)
    return Authority(pair, hashed)


def _load(path: Path) -> Authority:
    text = read_private(path)
    try:
        content = parse_object(text, ["certificate", "key", "token_sha256"])
        pair = KeyPair(SERVER_NAME, _text(content, "certificate"), _text(content, "key"))
        return Authority(pair, _hashes(content["token_sha256"]))
    except BadCredentials as problem:
        advice = f"deleting the folder {path.parent} makes new credentials for everybody"
        raise BadCredentials(f"{path}: {problem} ({advice})") from None


def _text(content: Mapping[str, object], key: str) -> str:
    value = content[key]
    if not isinstance(value, str) or not value.isascii():
        raise BadCredentials(f"{key}: expected PEM")
    return value


def _hashes(content: object) -> dict[Role, bytes]:
    if not isinstance(content, dict) or set(content) != set(ROLES):
        raise BadCredentials(f"token_sha256: expected an object with the keys {', '.join(ROLES)}")
    for role, digest in content.items():
        if not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest):
            raise BadCredentials(f"token_sha256.{role}: expected 64 hexadecimal digits")
    return {role: bytes.fromhex(content[role]) for role in ROLES}


def _update_credentials_files(folder: Path, pair: KeyPair) -> None:
    """Gives the files that are still in the folder the certificate in use."""
    for role in ROLES:
        path = folder / f"{role}.json"
        if not path.exists():
            continue
        held = load_credentials(path)
        if (held.server_name, held.certificate) != (pair.server_name, pair.certificate):
            save_credentials(replace(held, server_name=pair.server_name, certificate=pair.certificate), path)
            logger.warning("the coordinator's certificate changed: %s holds the new one", path)
