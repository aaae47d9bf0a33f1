"""Full disks, clocks that jump and bytes of all sorts: nothing is lost, and every refusal says why."""

import asyncio
import hashlib
import queue
import resource
import threading

import grpc
import pytest
from farm_models import add_model
from farm_peers import Process, ScriptedWorker
from farm_reports import SETTINGS, introduction, job, report
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device_farm.client import FarmClient
from device_farm.coordinator.coordinator import Coordinator
from device_farm.coordinator.database import Database
from device_farm.coordinator.events import DropWorker
from device_farm.coordinator.model_store import ModelStore
from device_farm.coordinator.policy import Policy
from device_farm.jobs import Acknowledgement, Lease, LeaseResult
from device_farm.rpc import farm_pb2 as pb
from device_farm.rpc import farm_pb2_grpc as rpc
from device_farm.types import FarmError, Measurement, MeasurementFailed, Target

MODEL = add_model()


@pytest.fixture
def process(tmp_path):
    """A coordinator in a process of its own, whose disk can be filled."""
    started = Process("serve", "--listen", "127.0.0.1:0", "--state", str(tmp_path / "state"))
    yield started
    started.kill()


def fill_disk(pid: int) -> None:
    """No file of the process may grow any more: what a full disk does to it."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))


def free_disk(pid: int) -> None:
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def test_a_full_disk_holds_everything_up_and_loses_nothing(process):
    """A result that cannot be written waits for the disk; new jobs are refused with the reason meanwhile."""
    pid, address = process.pid, process.said
    answers: queue.Queue[object] = queue.Queue()
    worker = ScriptedWorker(address, introduction())
    client, other = FarmClient(address), FarmClient(address)

    def measure() -> None:
        try:
            answers.put(client.measure(MODEL, Target(), SETTINGS, fresh=True))
        except FarmError as error:
            answers.put(error)

    thread = threading.Thread(target=measure)
    thread.start()
    try:
        lease = worker.receive_lease()
        fill_disk(pid)
        worker.send(LeaseResult(lease.token, report(model_sha256=lease.job.model_sha256)))
        refusal = ""
        while "refused" not in refusal:  # until the coordinator has noticed
            with pytest.raises(MeasurementFailed) as caught:
                other.measure(add_model((1, 2, 3, 4)), Target(), SETTINGS, timeout_seconds=0.5)
            refusal = str(caught.value)
        assert "the coordinator cannot write its state" in refusal
        with grpc.insecure_channel(address) as channel, pytest.raises(grpc.RpcError) as refused:
            rpc.FarmStub(channel).UploadModel(pb.ModelChunk(data=chunk) for chunk in (MODEL, bytes(100_000)))
        assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert refused.value.details() == "the coordinator cannot store the model: File too large"
        assert answers.empty()
        free_disk(pid)
        assert worker.receive() == Acknowledgement(lease.token)
        found = answers.get(timeout=60)
        assert isinstance(found, Measurement), found
        assert found.latency_ms == 3.5
    finally:
        free_disk(pid)
        worker.close()
        client.close()
        other.close()
        thread.join(30)


class JumpingClock:
    """A wall clock that goes back a year at each look."""

    def __init__(self) -> None:
        self.now = 2e9

    def __call__(self) -> float:
        self.now -= 365 * 86400.0
        return self.now


def test_a_wall_clock_that_jumps_changes_dates_and_nothing_else(tmp_path):
    async def measure() -> tuple[Measurement, list[str]]:
        database = Database(tmp_path / "farm.db")
        coordinator = Coordinator(
            ModelStore(tmp_path / "models"), database, Policy(), wall_clock=JumpingClock()
        )
        running = asyncio.create_task(coordinator.run())
        session = coordinator.connect(introduction())
        await session.outbox.get()  # the welcome
        digest = hashlib.sha256(MODEL).hexdigest()
        watch = coordinator.watch(job(model_sha256=digest), MODEL)
        lease = await session.outbox.get()
        assert isinstance(lease, Lease)
        coordinator.receive(session, LeaseResult(lease.token, report(model_sha256=digest)))
        while not isinstance(update := await watch.updates.get(), Measurement):
            pass
        story = [entry.text for entry in coordinator.job_record("a").story]
        assert not isinstance(await session.outbox.get(), DropWorker)
        running.cancel()
        coordinator.close()
        database.close()
        return update, story

    found, story = asyncio.run(measure())
    assert found.latency_ms == 3.5
    assert story == [
        "submitted for 1 thread, delegate xnnpack, priority 0",
        "leased to board-d1 under token 1",
        "measured on board-d1: 3.5 ms",
    ]


@given(
    st.lists(st.binary(max_size=200), max_size=5)
    | st.tuples(st.integers(0, len(MODEL) - 1), st.integers(1, 255)).map(
        lambda change: [MODEL[: change[0]], bytes([MODEL[change[0]] ^ change[1]]), MODEL[change[0] + 1 :]]
    )
)
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_upload_is_stored_whole_or_refused_with_a_reason(coordinator, chunks):
    data = b"".join(chunks)
    code, answer = upload(coordinator.address, chunks)
    if code == grpc.StatusCode.OK:
        assert answer == hashlib.sha256(data).hexdigest()
        assert (coordinator.state / "models" / answer).read_bytes() == data
    else:
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        assert "TFLite file" in answer or "empty" in answer


def upload(address: str, chunks: list[bytes]) -> tuple[grpc.StatusCode, str]:
    """The status and the model's hash, or what was said instead."""
    with grpc.insecure_channel(address) as channel:
        try:
            answer = rpc.FarmStub(channel).UploadModel(pb.ModelChunk(data=chunk) for chunk in chunks)
        except grpc.RpcError as error:
            return error.code(), error.details()
        return grpc.StatusCode.OK, answer.sha256
