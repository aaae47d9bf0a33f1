"""A server's certificate and key: made here, or read. cryptography is imported only where it is used."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from device_farm.credentials import BadCredentials

if TYPE_CHECKING:
    from cryptography import x509

SERVER_NAME = "device-farm"

# A certificate that is trusted by itself does not become truer by ending, and a board without a clock must not
# fall off the farm. The last moment is how RFC 5280 (4.1.2.5) writes "no well-defined expiration date".
VALID_FROM = datetime(2000, 1, 1, tzinfo=UTC)
VALID_UNTIL = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


@dataclass(frozen=True)
class KeyPair:
    """A server's certificate (or chain, its own first) and key, both in PEM, and the name it is for."""

    server_name: str
    certificate: str = field(repr=False)
    key: str = field(repr=False)


def read_key_pair(certificate: Path, key: Path, now: datetime) -> KeyPair:
    """A certificate (or chain) and key of one's own, checked before a client stumbles over them.

    Raises:
        BadCredentials: a file cannot be read, is not PEM, the key is encrypted or another certificate's, the
            certificate has expired or names no server, or the key is of a kind that gRPC cannot use.
    """
    _need_cryptography()
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    certificate_pem, key_pem = _read(certificate), _read(key)
    try:
        chain = x509.load_pem_x509_certificates(certificate_pem)
    except ValueError:
        raise BadCredentials(f"{certificate}: expected a certificate in PEM") from None
    try:
        private = serialization.load_pem_private_key(key_pem, password=None)
    except TypeError:
        raise BadCredentials(f"{key}: the key is encrypted; store it without a passphrase") from None
    except (ValueError, UnsupportedAlgorithm):
        raise BadCredentials(f"{key}: expected a private key in PEM") from None
    leaf = chain[0]
    if leaf.public_key() != private.public_key():
        raise BadCredentials(f"{key}: not the key of the certificate {certificate}")
    if now >= leaf.not_valid_after_utc:
        raise BadCredentials(f"{certificate}: expired at {leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC")
    _check_kind(private, key)
    # Written anew from what was understood: where people keep both in one file, the key must not travel along.
    text = b"".join(entry.public_bytes(serialization.Encoding.PEM) for entry in chain)
    return KeyPair(_server_name(leaf, certificate), text.decode("ascii"), _key_to_pem(private))


def make_key_pair() -> KeyPair:
    """A new P-256 key and a certificate for the name ``device-farm`` that it signs itself and that never ends.

    Raises:
        BadCredentials: cryptography is missing.
    """
    _need_cryptography()
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, SERVER_NAME)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(VALID_FROM)
        .not_valid_after(VALID_UNTIL)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(SERVER_NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    text = certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")
    return KeyPair(SERVER_NAME, text, _key_to_pem(key))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadCredentials(f"{path}: {error.strerror}") from None


def _check_kind(key: Any, path: Path) -> None:
    """gRPC's TLS refuses clients, or to start, with other kinds, and says nothing of the reason."""
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1):
        return
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= 2048:
        return
    raise BadCredentials(f"{path}: expected a key on the curve P-256 or P-384, or RSA of at least 2048 bits")


def _server_name(certificate: "x509.Certificate", path: Path) -> str:
    """The first name that the certificate is for; one that stands for many is filled in."""
    from cryptography import x509

    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        names = x509.SubjectAlternativeName([])
    for name in (*names.get_values_for_type(x509.DNSName), *names.get_values_for_type(x509.IPAddress)):
        return str(name).replace("*", SERVER_NAME)
    raise BadCredentials(
        f"{path}: names no server (it needs a DNS name or an IP address as its alternative name)"
    )


def _key_to_pem(key: Any) -> str:
    from cryptography.hazmat.primitives import serialization

    pem: bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem.decode("ascii")


def _need_cryptography() -> None:
    if find_spec("cryptography") is None:
        raise BadCredentials(
            "making or reading certificates needs a library: pip install 'depth-sweep[coordinator]'"
        )
