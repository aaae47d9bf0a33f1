"""A real MLflow server on a free port, started as `sweep dashboard` starts it."""

import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sweep.tracking.dashboard import dashboard_command, dashboard_environment


@contextmanager
def mlflow_server(uri: str, artifacts: str, folder: Path) -> Iterator[str]:
    """The address of a server of the store at ``uri``; its log goes to ``folder``."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(
            dashboard_command(port=port),
            env=dashboard_environment(uri, artifacts),
            cwd=folder,
            stdout=log,
            stderr=log,
        )
        address = f"http://127.0.0.1:{port}"
        try:
            while not _healthy(address):
                assert server.poll() is None, (folder / "server.log").read_text()
                time.sleep(0.2)  # the server announces itself nowhere
            yield address
        finally:
            server.terminate()
            server.wait()


def _healthy(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, TimeoutError):
        return False
