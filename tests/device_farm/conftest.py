"""Fixtures: model files, a coordinator in this process, a scripted worker, and a real farm of this machine."""

import asyncio
import queue
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from farm_models import add_model

from device_farm import convert
from device_farm.client import FarmClient
from device_farm.jobs import CoordinatorMessage, Lease, Registration, WorkerMessage
from device_farm.local import LocalFarm
from device_farm.rpc import farm_pb2_grpc as rpc
from device_farm.scheduling import Policy
from device_farm.server import serve
from device_farm.types import MeasurementSettings, Runtime

WAIT_SECONDS = 30.0


@pytest.fixture(scope="session")
def model() -> bytes:
    return add_model()


@pytest.fixture(scope="session")
def quick() -> MeasurementSettings:
    return MeasurementSettings(
        warmup_invocations=2, min_invocations=8, max_invocations=20, sampling_seconds=0.1, timeout_seconds=60
    )


@pytest.fixture(scope="session")
def local_farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFarm]:
    with LocalFarm(tmp_path_factory.mktemp("farm"), name="bench", labels={"room": "lab"}) as farm:
        yield farm


@pytest.fixture
def client(local_farm: LocalFarm) -> Iterator[FarmClient]:
    with FarmClient(local_farm.address, device_wait_seconds=0.0) as client:
        yield client


class Coordinator:
    """A real coordinator that serves from a thread of this process."""

    def __init__(self, state: Path, listen: str = "127.0.0.1:0", policy: Policy | None = None) -> None:
        self._state, self._listen, self._policy = state, listen, policy or Policy()
        self._addresses: queue.Queue[str] = queue.Queue()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        try:
            await serve(self._listen, self._state, self._addresses.put, self._policy)
        except asyncio.CancelledError:
            return

    def __enter__(self) -> "Coordinator":
        self._thread.start()
        self.address = self._addresses.get(timeout=WAIT_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(WAIT_SECONDS)
        assert not self._thread.is_alive()


@pytest.fixture
def coordinator(tmp_path: Path) -> Iterator[Coordinator]:
    with Coordinator(tmp_path / "coordinator") as running:
        yield running


class ScriptedWorker:
    """A worker's stream in the test's hands."""

    def __init__(self, address: str, registration: Registration) -> None:
        self.registration = registration
        self._channel = grpc.insecure_channel(address)
        self._outbox: queue.Queue = queue.Queue()
        self._call = rpc.FleetStub(self._channel).Work(iter(self._outbox.get, None))
        self.send(registration)
        self.receive()  # the welcome

    def send(self, message: WorkerMessage) -> None:
        self._outbox.put(convert.worker_message_to_wire(message))

    def receive(self) -> CoordinatorMessage:
        return convert.coordinator_message_from_wire(next(self._call))

    def receive_lease(self) -> Lease:
        message = self.receive()
        assert isinstance(message, Lease), message
        return message

    def close(self) -> None:
        self._outbox.put(None)
        self._call.cancel()
        self._channel.close()


@pytest.fixture
def scripted_worker(coordinator: Coordinator) -> Iterator[ScriptedWorker]:
    worker = ScriptedWorker(coordinator.address, registration())
    yield worker
    worker.close()


def registration(device_id: str = "d1", **changes: object) -> Registration:
    known = {
        "device_id": device_id,
        "name": f"board-{device_id}",
        "device_class": "raspberrypi-4b",
        "labels": {"soc": "bcm2711"},
        "facts": {"cores": "4"},
        "runtimes": (Runtime("tflite-2.14.0", "2.14.0", ("none", "xnnpack")),),
    }
    return Registration(**{**known, **changes})


@pytest.fixture
def make_registration():
    return registration


@pytest.fixture
def make_coordinator():
    return Coordinator
