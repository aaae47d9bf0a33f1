"""TVM's tracker, labgrid's coordinator and our own farm behind one set of handles, as processes on loopback."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from child_process import Child, free_port, until_true, wait_for_port

HERE = Path(__file__).resolve().parent
HELPERS = HERE / "anchors"
EXPORTED = "board:\n  NetworkSerialPort:\n    host: 127.0.0.1\n    port: 9\n"
SAVE_S = 30.0
SLOW_BYTES = 6 * 2**20  # of constants; a model that takes long enough for a hundred thousand invocations


class System(Protocol):
    """A server, devices and clients of one system. Everything started lives until the stack is closed."""

    name: str

    def start_server(self) -> None:
        """Starts the server, or starts it again after ``kill_server`` on the same port and state."""

    def keep(self) -> None:
        """Returns when the server has kept what it keeps from time to time only."""

    def kill_server(self) -> None:
        """SIGKILL."""

    def start_device(self, number: int) -> Child:
        """A device as a process; returns when it is ready."""

    def start_job(self, seconds: float) -> Child:
        """A client that keeps a device for some seconds: prints ``started ...``, at its end JSON."""

    def start_cycles(self, seconds: float, clients: int, size: int) -> Child:
        """Clients that get a device, send ``size`` bytes and let it go, again and again; print JSON."""

    def start_stranger(self) -> Child:
        """A client without credentials asks for the devices; prints JSON."""


@dataclass(frozen=True)
class Place:
    """Where a system runs: its Python, a folder of its own, and what stops its processes."""

    python: str
    folder: Path
    stack: ExitStack

    def start(self, command: Sequence[str]) -> Child:
        return self.stack.enter_context(Child([self.python, *command], self.folder))


class Tvm:
    """``tvm.exec.rpc_tracker`` and ``tvm.exec.rpc_server``."""

    name = "TVM"

    def __init__(self, place: Place) -> None:
        self._place, self._port = place, free_port()

    def start_server(self) -> None:
        ports = ["--port", str(self._port), "--port-end", str(self._port + 1)]
        self._server = self._place.start(["-m", "tvm.exec.rpc_tracker", "--host", "127.0.0.1", *ports])
        wait_for_port(self._port)

    def keep(self) -> None:
        """The tracker keeps nothing."""

    def kill_server(self) -> None:
        self._server.kill()

    def start_device(self, number: int) -> Child:
        del number
        port = free_port()
        device = self._place.start(
            [
                *("-m", "tvm.exec.rpc_server", "--host", "127.0.0.1", "--key", "device"),
                *("--port", str(port), "--port-end", str(port + 1), "--tracker", f"127.0.0.1:{self._port}"),
            ]
        )
        wait_for_port(port)
        return device

    def start_job(self, seconds: float) -> Child:
        return self._client("job", "--seconds", str(seconds))

    def start_cycles(self, seconds: float, clients: int, size: int) -> Child:
        numbers = ["--seconds", str(seconds), "--clients", str(clients), "--bytes", str(size)]
        return self._client("cycles", *numbers)

    def start_stranger(self) -> Child:
        return self._client("summary")

    def _client(self, *arguments: str) -> Child:
        return self._place.start([str(HELPERS / "tvm_client.py"), *arguments, "--port", str(self._port)])


class Labgrid:
    """``labgrid-coordinator`` and ``labgrid-exporter``. ``bare``: places without a resource, no exporter."""

    name = "labgrid"

    def __init__(self, place: Place, places: int = 2, *, bare: bool = False) -> None:
        self._place, self._places, self._bare = place, places, bare
        self._port = free_port()
        self._created = False
        (place.folder / "exported.yaml").write_text(EXPORTED, encoding="ascii")

    def start_server(self) -> None:
        self._server = self._place.start(
            ["-m", "labgrid.remote.coordinator", "--listen", f"127.0.0.1:{self._port}"]
        )
        wait_for_port(self._port)
        if not self._created:
            self._client("create").need("{")
            self._created = True

    def keep(self) -> None:
        saved = self._place.folder / "places.yaml"
        until_true(lambda: saved.exists() and "place-0" in saved.read_text(encoding="utf-8"), SAVE_S)

    def kill_server(self) -> None:
        self._server.kill()

    def start_device(self, number: int) -> Child:
        address = f"127.0.0.1:{self._port}"
        device = self._place.start(
            ["-m", "labgrid.remote.exporter", "-c", address, "--name", f"device-{number}", "exported.yaml"]
        )
        device.need("INFO:root:creating poll task")
        return device

    def start_job(self, seconds: float) -> Child:
        return self._client("job", "--seconds", str(seconds))

    def start_cycles(self, seconds: float, clients: int, size: int) -> Child:
        del size  # labgrid sends no files
        bare = ["--bare"] if self._bare else []
        return self._client("cycles", "--seconds", str(seconds), "--clients", str(clients), *bare)

    def start_stranger(self) -> Child:
        return self._client("state")

    def _client(self, *arguments: str) -> Child:
        options = ["--port", str(self._port), "--places", str(self._places)]
        return self._place.start([str(HELPERS / "labgrid_client.py"), *arguments, *options])


class Farm:
    """``device-farm serve`` with simulated devices or ``real`` workers, and with credentials if ``tls`` is set."""

    name = "device-farm"

    def __init__(self, place: Place, *, real: bool = False, tls: bool = False) -> None:
        self._place, self._real, self._tls = place, real, tls
        self._port = free_port()
        self._address = f"127.0.0.1:{self._port}"

    def start_server(self) -> None:
        options = ["--listen", self._address, "--state", str(self._place.folder / "coordinator")]
        tls = ["--tls"] if self._tls else []
        self._server = self._place.start(["-m", "device_farm", "serve", *options, *tls])
        wait_for_port(self._port)

    def keep(self) -> None:
        """All is kept at once."""

    def kill_server(self) -> None:
        self._server.kill()

    def start_device(self, number: int) -> Child:
        if self._real:
            name, state = f"device-{number}", str(self._place.folder / f"worker-{number}")
            command = ["-m", "device_farm", "worker", "--state", state, "--name", name]
            ready = f"{name} ("
        else:
            command, ready = [str(HERE / "simulated_device.py"), "--number", str(number)], "connected"
        device = self._place.start([*command, "--farm", self._address])
        device.need(ready)
        return device

    def start_job(self, seconds: float) -> Child:
        size = ["--bytes", str(SLOW_BYTES)] if self._real else []
        return self._client("job", "--seconds", str(seconds), *size)

    def start_cycles(self, seconds: float, clients: int, size: int) -> Child:
        numbers = ["--seconds", str(seconds), "--clients", str(clients), "--bytes", str(size)]
        return self._client("cycles", *numbers)

    def start_stranger(self) -> Child:
        return self._client("devices")

    def _client(self, *arguments: str) -> Child:
        return self._place.start([str(HELPERS / "farm_client.py"), *arguments, "--farm", self._address])
