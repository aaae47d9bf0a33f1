"""Addresses of stores: which kinds there are, and how to speak of one without its password.

A store is named as SQLAlchemy names databases (``sqlite:////abs/file.db``, ``postgresql://USER@HOST/DATABASE``),
an MLflow tracking server also as ``http(s)://HOST:PORT``. Whatever is shown, logged or kept goes through
`redacted` or `scrubbed` first.
"""

import re
from pathlib import Path
from typing import Final, Literal
from urllib.parse import unquote, urlsplit

StoreKind = Literal["sqlite", "postgresql", "http"]

HIDDEN: Final = "***"
"""Stands where a secret was."""

ALLOWED: Final[dict[StoreKind, str]] = {
    "sqlite": "sqlite:/// and an absolute path",
    "postgresql": "postgresql://USER@HOST/DATABASE",
    "http": "http(s)://HOST:PORT",
}
_SQLITE: Final = "sqlite:///"
_POSTGRESQL: Final = "postgresql+psycopg://"
_USER_INFO = re.compile(r"(?<=://)(?P<user>[^:/@?#]*)(?::(?P<password>.*))?@", re.DOTALL)
_SECRET_OPTION = re.compile(
    r"(?P<key>[?&][^=&]*(?:pass|secret|token)[^=&]*=)(?P<value>[^&#]*)", re.IGNORECASE
)


def kind_of(
    url: str, what: str, kinds: tuple[StoreKind, ...] = ("sqlite", "postgresql", "http")
) -> StoreKind:
    """What sort of store ``url`` names; ``what`` is whose it is, for the error.

    Raises:
        ValueError: it is none of ``kinds``; the message holds no password.
    """
    found: StoreKind | None = None
    if url.startswith(_SQLITE) and Path(url.removeprefix(_SQLITE)).is_absolute():
        found = "sqlite"
    elif re.match(r"postgres(ql)?(\+\w+)?://", url):
        found = "postgresql"
    elif re.match(r"https?://[^/]", url):
        found = "http"
    if found is None or found not in kinds:
        allowed = ", ".join(ALLOWED[kind] for kind in kinds)
        raise ValueError(f"{what} {redacted(url)!r}: must be {allowed}")
    return found


def sqlite_path(url: str) -> Path:
    """The file of an address of kind ``sqlite``."""
    return Path(url.removeprefix(_SQLITE))


def normalised(url: str) -> str:
    """The address with its driver: psycopg 3 for PostgreSQL, unless it names another."""
    return re.sub(r"^postgres(ql)?://", _POSTGRESQL, url)


def redacted(url: str) -> str:
    """``url`` without its password, without the token that stands for a user of http, and without secret options.

    Hides too much rather than too little where a password holds characters that it should have encoded.
    """

    def hide(match: re.Match[str]) -> str:
        if url.startswith("http"):
            return f"{HIDDEN}@"
        return f"{match['user']}:{HIDDEN}@" if match["password"] is not None else match[0]

    return _SECRET_OPTION.sub(rf"\g<key>{HIDDEN}", _USER_INFO.sub(hide, url, count=1))


def scrubbed(text: str, url: str) -> str:
    """``text`` that a library wrote about the store at ``url``, with every secret of the address hidden in it."""
    for secret in sorted(_secrets(url), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def remembered(given: str | None, recorded: str | None, option: str) -> str | None:
    """The address to go on with at a resume: the one given now, else the recorded, redacted one; None: neither.

    Raises:
        ValueError: only the recorded one is there, and it lacks its secret; ``option`` is how to give it again.
    """
    if given is None and recorded is not None and HIDDEN in recorded:
        raise ValueError(
            f"{option}: the sweep began with {recorded}; its password was not kept: give it again"
        )
    return given or recorded


def check_apart(mlflow_url: str, optuna_url: str) -> None:
    """Raises ValueError if both addresses name one database: MLflow and Optuna both claim a table alembic_version.

    Two schemas of one PostgreSQL database will do (``?options=-csearch_path%3Doptuna``).
    """
    if _place(mlflow_url) == _place(optuna_url):
        raise ValueError(
            f"MLflow and Optuna cannot share the database {redacted(optuna_url)}: "
            "both keep their schema's version in the table alembic_version; give each its own database"
        )


def artifact_root(url: str, asked: str | None, beside_runs: Path) -> str | None:
    """Where the files of new experiments go: as asked, else ``beside_runs``; None: a tracking server decides.

    Args:
        url: the MLflow store.
        asked: a URI, or the path of a folder.
        beside_runs: the folder for stores without a server of their own.
    """
    if asked is not None:
        return asked if "://" in asked else Path(asked).resolve().as_uri()
    return None if kind_of(url, "MLflow store") == "http" else beside_runs.resolve().as_uri()


def _secrets(url: str) -> set[str]:
    written = {match["value"] for match in _SECRET_OPTION.finditer(url)}
    if user_info := _USER_INFO.search(url):
        written.add(user_info["password"] or "")
        if url.startswith("http"):
            written.add(user_info["user"])
    return {form for secret in written for form in (secret, unquote(secret)) if form}


def _place(url: str) -> tuple[str, ...]:
    """What tells databases apart; who connects, and with which driver, does not."""
    parts = urlsplit(normalised(url))
    host = parts.netloc.rpartition("@")[2].removesuffix(":5432")
    return (parts.scheme.partition("+")[0], host, parts.path, parts.query)
