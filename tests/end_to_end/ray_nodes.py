"""Real Ray nodes on this machine, each with its processes in a group of its own, so that it can die whole."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

RAY = Path(sys.executable).with_name("ray")
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
}


class RayNode:
    """A running ``ray start --block``; ``hidden`` folders are empty for its processes, whatever is in them."""

    def __init__(
        self, arguments: list[str], environment: Mapping[str, str], hidden: tuple[Path, ...]
    ) -> None:
        # Not below pytest's folder: the path of a socket may have no more than 107 characters.
        self._folder = tempfile.mkdtemp(prefix="ray", dir="/tmp")
        command = [
            str(RAY),
            "start",
            "--block",
            "--disable-usage-stats",
            f"--temp-dir={self._folder}",
            "--object-store-memory=80000000",
            *arguments,
        ]
        self._process = subprocess.Popen(
            [*_hiding(hidden), *command],
            env={**os.environ, **SETTINGS, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def await_start(self) -> str:
        """The cluster's address as a head prints it; empty for other nodes."""
        address, printed = "", ""
        for line in self._process.stdout or ():
            printed += line
            if "--address='" in line:
                address = line.split("--address='")[1].split("'")[0]
            if "--block" in line:  # the last lines say that the command now waits
                return address
        raise AssertionError(f"no Ray node: {printed}")

    def inside(self, path: Path) -> Path:
        """``path`` as this node's processes see it."""
        return Path(f"/proc/{self._raylet()}/root") / path.relative_to("/")

    def _raylet(self) -> int:
        children = psutil.Process(self._process.pid).children(recursive=True)
        return next(child.pid for child in children if child.name() == "raylet")

    def kill(self) -> None:
        """The machine loses its power."""
        if self._process.returncode is not None:
            return  # killed already
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()
        shutil.rmtree(self._folder, ignore_errors=True)


def _hiding(folders: tuple[Path, ...]) -> list[str]:
    """A command that runs the rest of its line where empty file systems lie over ``folders``."""
    if not folders:
        return []
    over = "".join(f"mount -t tmpfs none '{folder}' && " for folder in folders)
    own_users = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", *own_users, "--mount", "sh", "-c", over + 'exec "$@"', "sh"]


class RayCluster:
    """A head without CPUs for the sweep's driver, and nodes that come and go."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        token = secrets.token_hex(16)
        self._environment = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
        self.driver_environment = {**os.environ, **self._environment}
        head = self._start(["--head", "--port=0", "--num-cpus=0", "--include-dashboard=false"])
        self.address = head.await_start()

    def add_node(
        self, *, hidden: tuple[Path, ...] = (), environment: Mapping[str, str] | None = None
    ) -> RayNode:
        """A node with one CPU."""
        node = self._start([f"--address={self.address}", "--num-cpus=1"], hidden, environment)
        node.await_start()
        return node

    def _start(
        self,
        arguments: list[str],
        hidden: tuple[Path, ...] = (),
        environment: Mapping[str, str] | None = None,
    ) -> RayNode:
        node = RayNode(arguments, {**self._environment, **(environment or {})}, hidden)
        self._stack.callback(node.kill)
        return node


@contextmanager
def ray_cluster() -> Iterator[RayCluster]:
    """A head of its own; it and its nodes are gone afterwards."""
    with ExitStack() as stack:
        yield RayCluster(stack)
