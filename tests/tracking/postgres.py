"""A private PostgreSQL server for tests: its own data directory, a free loopback port, a password."""

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

USER = "sweep"
PASSWORD = "p@ss/w:rd %1"
"""Holds every character that an address must encode."""

ENCODED_PASSWORD = "p%40ss%2Fw%3Ard%20%251"
_ACCOUNT = "postgres"  # the server refuses to run as root; Debian's package makes this account for it
_DEBIAN = Path("/usr/lib/postgresql")


def find_binaries() -> Path | None:
    """The folder of the newest installed server's programs; None: there is no server here."""
    versions = [path for path in _DEBIAN.glob("*/bin") if (path / "initdb").exists()]
    if versions:
        return max(versions, key=lambda path: int(path.parent.name))
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


@dataclass(frozen=True)
class PostgresServer:
    """A running server that lives in ``home``."""

    home: Path
    port: int
    _names = count()

    def url(self, database: str, password: str = ENCODED_PASSWORD) -> str:
        return f"postgresql://{USER}:{password}@127.0.0.1:{self.port}/{database}"

    def new_database(self, template: str = "template1") -> str:
        """The name of a new database, a copy of ``template``, whose clients lose their connections."""
        name = f"database_{next(self._names)}"
        self.disconnect_all(template)
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return name

    def disconnect_all(self, database: str) -> None:
        """Cut every connection to ``database``, as a network that fails does."""
        self.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'")

    def execute(self, statement: str) -> None:
        import psycopg  # only there where the server is: tests that need neither are collected without

        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def start(self) -> None:
        """Start, and return once it answers."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.home}"
        quick = "-c fsync=off -c max_wal_size=256MB -c shared_buffers=32MB"
        log = self.home / "server.log"
        self._pg_ctl("-w", "-l", str(log), "-o", f"{options} {quick}", "start")

    def stop(self) -> None:
        """Stop without waiting for clients."""
        self._pg_ctl("-w", "-m", "immediate", "stop")

    def _pg_ctl(self, *arguments: str) -> None:
        _as_server_account(["pg_ctl", "-D", str(self.home / "data"), *arguments], self.home)


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Make, start and at the end remove a server."""
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    home = Path(tempfile.mkdtemp(prefix="depth-sweep-postgres-", dir=memory))
    try:
        if os.geteuid() == 0:
            shutil.chown(home, _ACCOUNT, _ACCOUNT)
        secret = home / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        access = ["--auth=scram-sha-256", "-U", USER, f"--pwfile={secret}"]
        _as_server_account(
            ["initdb", "-D", str(home / "data"), *access, "--encoding=UTF8", "--locale=C", "--no-sync"], home
        )
        server = PostgresServer(home, _free_port())
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(home)


def _as_server_account(command: Sequence[str], cwd: Path) -> None:
    binaries = find_binaries()
    assert binaries is not None, "PostgreSQL's server is not installed"
    whole = [str(binaries / command[0]), *command[1:]]
    if os.geteuid() == 0:
        whole = ["runuser", "-u", _ACCOUNT, "--", *whole]
    # Output goes to a file: the server inherits it, and a pipe would stay open as long as it runs.
    log = cwd / f"{command[0]}.{getpass.getuser()}.log"
    with log.open("w") as output:
        ended = subprocess.run(whole, cwd=cwd, stdout=output, stderr=output, check=False)
    assert ended.returncode == 0, log.read_text()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
