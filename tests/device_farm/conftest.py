"""Fixtures: model files, a coordinator in this process, a scripted worker, and a real farm of this machine."""

import asyncio
import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from farm_models import add_model
from farm_peers import ScriptedWorker
from farm_reports import introduction

from device_farm.client import FarmClient
from device_farm.coordinator.policy import Policy
from device_farm.coordinator.server import serve
from device_farm.jobs import Introduction
from device_farm.local import LocalFarm
from device_farm.types import MeasurementSettings

WAIT_SECONDS = 30.0


@pytest.fixture(scope="session")
def model() -> bytes:
    return add_model()


@pytest.fixture(scope="session")
def quick() -> MeasurementSettings:
    return MeasurementSettings(
        interval_width=1.0,
        min_invocations=8,
        max_invocations=20,
        warmup_seconds=0.05,
        sampling_seconds=0.1,
        timeout_seconds=60,
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
        self.state, self._listen, self._policy = state, listen, policy or Policy()
        self._addresses: queue.Queue[str] = queue.Queue()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        try:
            await serve(self._listen, self.state, self._addresses.put, self._policy)
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


@pytest.fixture
def scripted_worker(coordinator: Coordinator) -> Iterator[ScriptedWorker]:
    worker = ScriptedWorker(coordinator.address, introduction())
    yield worker
    worker.close()


@pytest.fixture
def connect_worker(coordinator: Coordinator) -> Iterator[Callable[[Introduction], ScriptedWorker]]:
    """Connects further scripted workers to the coordinator."""
    workers: list[ScriptedWorker] = []

    def connect(words: Introduction) -> ScriptedWorker:
        workers.append(ScriptedWorker(coordinator.address, words))
        return workers[-1]

    yield connect
    for worker in workers:
        worker.close()


@pytest.fixture
def make_coordinator():
    return Coordinator
