"""A real worker and real jobs, with the coordinator's side of the conversation in the test's hands."""

import asyncio
import contextlib
import hashlib
import logging
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import grpc
import psutil
import pytest
from farm_models import add_model

from device_farm import convert
from device_farm.addresses import SERVER_OPTIONS
from device_farm.coordinator.authority import Authority, open_authority, server_credentials
from device_farm.coordinator.authorization import TokenCheck
from device_farm.credentials import Credentials, load_credentials
from device_farm.jobs import (
    Acknowledgement,
    CoordinatorMessage,
    Failed,
    Heartbeat,
    Introduction,
    Job,
    Lease,
    LeaseResult,
    Registration,
    Revocation,
    RunReport,
    Welcome,
    WorkerMessage,
    device_id_of,
)
from device_farm.rpc import farm_pb2 as pb
from device_farm.rpc import farm_pb2_grpc as rpc
from device_farm.types import FarmUnavailable, MeasurementSettings, Target
from device_farm.worker.worker import RECONNECT_SECONDS, WorkerConfig, reconnect_delay, run_worker

WAIT_SECONDS = 60.0
WELCOME = Welcome(heartbeat_seconds=0.02, lease_seconds=60)
# No heartbeat is under way when a test ends the connection: gRPC for asyncio may lose the words of an ending that
# meets a write (https://github.com/grpc/grpc/issues/36066).
SILENT_WELCOME = Welcome(heartbeat_seconds=60, lease_seconds=60)
MODEL = add_model()
BUSY_MODEL = add_model((1, 256, 256, 8))
SHA256, BUSY_SHA256 = (hashlib.sha256(model).hexdigest() for model in (MODEL, BUSY_MODEL))
QUICK = MeasurementSettings(min_invocations=8, max_invocations=8, warmup_seconds=0)
# For the busy model: a job that ends well after any reconnection, and one that never ends in a test's time.
LONG = MeasurementSettings(
    interval_width=0.0001, min_invocations=8, max_invocations=100_000, warmup_seconds=0, sampling_seconds=3
)
ENDLESS = MeasurementSettings(min_invocations=100_000, max_invocations=100_000)


def job(settings: MeasurementSettings = QUICK, sha256: str = SHA256, **changes: object) -> Job:
    return Job("job-of-a-test", sha256, settings=settings, **changes)


@dataclass
class Connection:
    """One connection of the worker; the test reads and writes its messages, and ends it."""

    context: grpc.aio.ServicerContext
    ending: asyncio.Future[tuple[grpc.StatusCode, str]]

    async def receive(self) -> WorkerMessage:
        async with asyncio.timeout(WAIT_SECONDS):
            return convert.worker_message_from_wire(await self.context.read())

    async def introduction(self) -> Introduction:
        message = await self.receive()
        assert isinstance(message, Introduction), message
        return message

    async def result(self) -> LeaseResult:
        """The next message that is no heartbeat."""
        while isinstance(message := await self.receive(), Heartbeat):
            pass
        assert isinstance(message, LeaseResult), message
        return message

    async def heartbeat(self, tokens: tuple[int, ...]) -> None:
        """Waits for a heartbeat with these tokens; anything but heartbeats is an error."""
        while (message := await self.receive()) != Heartbeat(tokens):
            assert isinstance(message, Heartbeat), message

    async def send(self, message: CoordinatorMessage) -> None:
        await self.context.write(convert.coordinator_message_to_wire(message))

    def end(self, code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE, words: str = "cut") -> None:
        self.ending.set_result((code, words))


@dataclass
class ScriptedFleet(rpc.FleetServicer):
    connections: asyncio.Queue[Connection] = field(default_factory=asyncio.Queue)
    downloads: list[bytes | grpc.StatusCode] = field(default_factory=list)  # what the next ones bring

    async def Work(self, _requests, context):  # noqa: N802  (named as in farm.proto)
        connection = Connection(context, asyncio.get_running_loop().create_future())
        self.connections.put_nowait(connection)
        await context.abort(*await connection.ending)

    async def DownloadModel(self, request, context):  # noqa: N802  (likewise)
        assert request.sha256 == SHA256
        data = self.downloads.pop(0)
        if isinstance(data, grpc.StatusCode):
            await context.abort(data, "not today")
        for chunk in convert.chunks_to_wire(data):
            yield chunk

    async def connected(self) -> Connection:
        async with asyncio.timeout(WAIT_SECONDS):
            return await self.connections.get()

    async def introduced(self) -> Connection:
        connection = await self.connected()
        await connection.introduction()
        return connection

    async def welcomed(self, welcome: Welcome = WELCOME) -> tuple[Connection, Introduction]:
        connection = await self.connected()
        introduction = await connection.introduction()
        await connection.send(welcome)
        return connection, introduction


@dataclass
class Bench:
    """A worker that runs, and what it is connected to."""

    fleet: ScriptedFleet
    worker: asyncio.Task[None]
    state: Path
    registrations: list[Registration]


@contextlib.asynccontextmanager
async def running_worker(
    state: Path, authority: Authority | None = None, credentials: Credentials | None = None
) -> AsyncIterator[Bench]:
    before = set(psutil.Process().children(recursive=True))
    fleet = ScriptedFleet()
    checks = [] if authority is None else [TokenCheck(authority.token_sha256)]
    server = grpc.aio.server(interceptors=checks, options=SERVER_OPTIONS)
    rpc.add_FleetServicer_to_server(fleet, server)
    if authority is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", server_credentials(authority))
    await server.start()
    registrations: list[Registration] = []
    config = WorkerConfig(
        f"127.0.0.1:{port}", state, "board", {"room": "lab"}, {}, profile="rpi4", credentials=credentials
    )
    worker = asyncio.create_task(run_worker(config, registrations.append))
    try:
        yield Bench(fleet, worker, state, registrations)
    finally:
        worker.cancel()
        await asyncio.wait({worker})
        await server.stop(None)
    assert set(psutil.Process().children(recursive=True)) <= before


@pytest.fixture
def scenario(tmp_path) -> Callable[[Callable[[Bench], Coroutine]], None]:
    """Runs a coroutine against a fresh worker."""

    def run(script: Callable[[Bench], Coroutine]) -> None:
        async def play() -> None:
            async with running_worker(tmp_path / "state") as bench:
                await script(bench)

        asyncio.run(play())

    return run


def test_a_lease_ends_in_a_result_that_is_sent_again_until_it_is_acknowledged(scenario):
    async def script(bench: Bench) -> None:
        connection, first = await bench.fleet.welcomed()
        assert (first.registration.name, first.registration.labels["room"]) == ("board", "lab")
        assert first.registration.profile == "rpi4"
        assert first.registration.references_ms.keys() == {"tflite-2.14.0/none", "tflite-2.14.0/xnnpack"}
        assert {len(times) for times in first.registration.references_ms.values()} == {20}
        assert await connection.receive() == Heartbeat(())
        assert bench.registrations == [first.registration]
        await connection.send(Lease(5, job(), MODEL))
        await connection.heartbeat((5,))
        result = await connection.result()
        assert result.token == 5
        assert isinstance(result.outcome, RunReport), result
        assert (result.outcome.model_sha256, len(result.outcome.samples_ms)) == (SHA256, 8)
        await connection.heartbeat((5,))  # not acknowledged yet
        connection.end()

        connection, second = await bench.fleet.welcomed()
        assert second.held == (5,)
        assert (second.incarnation, second.device_key) == (first.incarnation, first.device_key)
        assert await connection.result() == result
        await connection.send(Acknowledgement(5))
        await connection.heartbeat(())
        connection.end()

        connection, third = await bench.fleet.welcomed()
        assert third.held == ()
        await connection.heartbeat(())

    scenario(script)


def test_a_job_goes_on_while_the_connection_is_lost(scenario):
    async def script(bench: Bench) -> None:
        connection, _ = await bench.fleet.welcomed()
        await connection.send(Lease(5, job(LONG, BUSY_SHA256), BUSY_MODEL))
        await connection.heartbeat((5,))
        await runner_of_the_job()
        connection.end()
        connection, again = await bench.fleet.welcomed()
        assert again.held == (5,)
        runner = await runner_of_the_job()
        await connection.heartbeat((5,))  # still at work, not a result kept from before
        result = await connection.result()
        assert not runner.is_running()
        assert (result.token, type(result.outcome)) == (5, RunReport)

    scenario(script)


def is_runner(child: psutil.Process) -> bool:
    """Not a process of the farm that other tests share."""
    return any(part.endswith("runner.py") for part in child.cmdline())


async def runner_of_the_job() -> psutil.Process:
    """The process that runs the job, as soon as there is one."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not (children := [child for child in psutil.Process().children() if is_runner(child)]):
            await asyncio.sleep(0.01)
    (child,) = children
    return child


def test_a_job_that_outlives_its_lease_without_a_coordinator_is_killed(scenario):
    async def script(bench: Bench) -> None:
        connection, _ = await bench.fleet.welcomed(Welcome(heartbeat_seconds=0.02, lease_seconds=0.1))
        await connection.send(Lease(5, job(ENDLESS, BUSY_SHA256), BUSY_MODEL))
        runner = os.pidfd_open((await runner_of_the_job()).pid)
        connection.end()
        lost = await bench.fleet.connected()  # and not welcomed, so that nothing but time ends the job
        await readable(runner)
        os.close(runner)
        lost.end()
        _, again = await bench.fleet.welcomed()
        assert again.held == ()

    scenario(script)


async def readable(descriptor: int) -> None:
    """Waits until a process is gone, by its pidfd."""
    loop, event = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, event.set)
    async with asyncio.timeout(WAIT_SECONDS):
        await event.wait()
    loop.remove_reader(descriptor)


def test_a_revoked_job_is_killed_and_a_new_lease_replaces_the_old(scenario):
    async def script(bench: Bench) -> None:
        connection, _ = await bench.fleet.welcomed()
        await connection.send(Lease(5, job(ENDLESS, BUSY_SHA256), BUSY_MODEL))
        revoked = await runner_of_the_job()
        await connection.heartbeat((5,))
        await connection.send(Revocation(4, "of another time"))
        await connection.send(Revocation(5, "nobody waits for it"))
        await connection.heartbeat(())
        assert not revoked.is_running()

        await connection.send(Lease(6, job(ENDLESS, BUSY_SHA256), BUSY_MODEL))
        replaced = await runner_of_the_job()
        await connection.send(Lease(7, job(), MODEL))
        await connection.send(Lease(7, job(), MODEL))  # heard twice, run once
        result = await connection.result()
        assert (result.token, type(result.outcome)) == (7, RunReport)
        assert not replaced.is_running()
        await connection.send(Acknowledgement(7))
        await connection.heartbeat(())

    scenario(script)


@pytest.mark.parametrize(
    ("downloads", "outcome"),
    [
        ([MODEL], RunReport),
        ([MODEL[:-1], MODEL], RunReport),
        (
            [MODEL[:-1], MODEL[:-1]],
            Failed(
                "the model arrived damaged: its SHA-256 is "
                f"{hashlib.sha256(MODEL[:-1]).hexdigest()}, wanted {SHA256}"
            ),
        ),
        ([grpc.StatusCode.NOT_FOUND], Failed("cannot fetch the model: not today")),
    ],
)
def test_a_model_that_is_not_in_the_lease_is_downloaded_whole_or_not_run(scenario, downloads, outcome):
    async def script(bench: Bench) -> None:
        bench.fleet.downloads = downloads
        connection, _ = await bench.fleet.welcomed()
        await connection.send(Lease(5, job()))
        result = await connection.result()
        assert result.outcome == outcome or type(result.outcome) is outcome
        assert bench.fleet.downloads == []
        assert not (bench.state / "model.tflite").exists()

    scenario(script)


def test_a_full_disk_fails_the_job_and_not_the_worker(scenario):
    async def script(bench: Bench) -> None:
        connection, _ = await bench.fleet.welcomed()
        (bench.state / "model.tflite").symlink_to("/dev/full")
        await connection.send(Lease(5, job(), MODEL))
        failed = LeaseResult(5, Failed("cannot store the model: No space left on device"))
        assert await connection.result() == failed
        await connection.send(Acknowledgement(5))
        await connection.send(Lease(6, job(), MODEL))
        assert isinstance((await connection.result()).outcome, RunReport)

    scenario(script)


def test_a_job_that_this_worker_cannot_do_is_sent_back(scenario):
    async def script(bench: Bench) -> None:
        connection, _ = await bench.fleet.welcomed()
        await connection.send(Lease(5, job(target=Target(runtime="tflite-9.9.9")), MODEL))
        failed = Failed("no runtime tflite-9.9.9 here", retryable=False)
        assert await connection.result() == LeaseResult(5, failed)
        newer = convert.coordinator_message_to_wire(Lease(6, job(), MODEL))
        newer.lease.job.target.delegate = "gpu"
        await connection.context.write(newer)
        result = await connection.result()
        assert result.token == 6
        assert result.outcome.message.startswith("this worker does not understand the job: delegate must be")
        await connection.context.write(pb.CoordinatorMessage())  # a kind of message from a later version
        await connection.send(Lease(7, job(), MODEL))
        assert isinstance((await connection.result()).outcome, RunReport)

    scenario(script)


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.INVALID_ARGUMENT,
    ],
)
def test_a_worker_that_is_refused_at_first_ends_with_the_coordinators_words(scenario, code):
    async def script(bench: Bench) -> None:
        (await bench.fleet.introduced()).end(code, "profile: expected rpi4, found toaster")
        await asyncio.wait({bench.worker})
        with pytest.raises(
            FarmUnavailable, match=r"refuses this worker: profile: expected rpi4, found toast"
        ):
            bench.worker.result()

    scenario(script)


def test_a_worker_that_was_taken_before_tries_on_and_says_each_reason_once(scenario, caplog):
    async def script(bench: Bench) -> None:
        words = "another process is connected for this device"
        for _ in range(2):
            (await bench.fleet.introduced()).end(grpc.StatusCode.ALREADY_EXISTS, words)
        connection, first = await bench.fleet.welcomed(SILENT_WELCOME)
        connection.end(grpc.StatusCode.UNAUTHENTICATED, "the token was replaced")
        _, second = await bench.fleet.welcomed()
        assert second == first

    with caplog.at_level(logging.INFO, "device_farm"):
        scenario(script)
    said = [line.partition(": ")[2] for line in caplog.messages]
    assert said == [
        "the coordinator refuses this worker: another process is connected for this device; "
        "trying again until it answers",
        "the coordinator refuses this worker: the token was replaced; trying again until it answers",
    ]


def test_a_device_keeps_its_secret_over_restarts_but_not_its_incarnation(tmp_path):
    async def introduced() -> Introduction:
        async with running_worker(tmp_path / "state") as bench:
            return (await bench.fleet.welcomed())[1]

    first, second = asyncio.run(introduced()), asyncio.run(introduced())
    key = tmp_path / "state/device_key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert key.read_text() == f"{first.device_key}\n"
    assert first.device_key == second.device_key
    assert first.registration.device_id == device_id_of(first.device_key)
    assert first.incarnation != second.incarnation
    assert len(bytes.fromhex(first.device_key)) == 32


def test_a_worker_speaks_tls_with_a_workers_token_and_ends_with_a_clear_error_with_another(tmp_path):
    authority = open_authority(tmp_path / "credentials")

    async def play(role: str) -> None:
        credentials = load_credentials(tmp_path / f"credentials/{role}.json")
        async with running_worker(tmp_path / "state", authority, credentials) as bench:
            if role == "worker":
                bench.fleet.downloads = [MODEL]
                connection, _ = await bench.fleet.welcomed()
                await connection.send(Lease(5, job()))
                assert isinstance((await connection.result()).outcome, RunReport)
            else:
                await asyncio.wait({bench.worker})
                with pytest.raises(FarmUnavailable, match=r"the coordinator refuses this worker: .*user"):
                    bench.worker.result()

    asyncio.run(play("worker"))
    asyncio.run(play("user"))


def test_a_thousand_devices_do_not_come_back_at_once():
    delays = sorted(reconnect_delay(f"device {number}", 1) for number in range(1000))
    half = RECONNECT_SECONDS[0] / 2
    assert half <= delays[0] < 1.02 * half
    assert 2.96 * half < delays[-1] <= 3 * half
    assert max(later - earlier for earlier, later in pairwise(delays)) < half / 20
    assert reconnect_delay("d", 3) == reconnect_delay("d", 3)
    assert 0.5 <= reconnect_delay("d", 10**6) / RECONNECT_SECONDS[-1] <= 1.5
