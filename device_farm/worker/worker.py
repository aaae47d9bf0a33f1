"""The worker: dials the coordinator, offers this machine, and runs what it is leased, one job at a time."""

import asyncio
import logging
import random
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from device_farm import convert
from device_farm.credentials import Credentials, explain_connection_failure, open_aio_channel
from device_farm.jobs import (
    Acknowledgement,
    Failed,
    Heartbeat,
    Infeasible,
    Introduction,
    Lease,
    LeaseResult,
    Registration,
    Revocation,
    RunOutcome,
    RunReport,
    Welcome,
    WorkerMessage,
    choose_runtime,
    device_id_of,
)
from device_farm.measuring.profiles import profile_of
from device_farm.rpc import farm_pb2 as pb
from device_farm.rpc import farm_pb2_grpc as rpc
from device_farm.state import StateLock
from device_farm.types import FarmUnavailable
from device_farm.worker.downloads import NoModel, bring_model
from device_farm.worker.execution import run_job
from device_farm.worker.facts import automatic_labels, device_class_of, find_facts
from device_farm.worker.holdings import Holdings
from device_farm.worker.identity import device_key
from device_farm.worker.reference import reference_path
from device_farm.worker.runtimes import InstalledRuntime, find_runtimes
from device_farm.worker.surroundings import Surroundings

RECONNECT_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0)  # the last one for ever
# What a coordinator that will never take this worker answers; once it has, they may pass.
_REFUSALS = (
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.INVALID_ARGUMENT,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class WorkerConfig:
    """What the device's owner says.

    Attributes:
        farm: the coordinator's HOST:PORT.
        state: folder for the device's key and the model that runs.
        name: empty: the host name.
        labels: they win over automatic ones.
        runtimes: further runtimes, name -> Python.
        emulated: what is measured here is no latency of real hardware.
        profile: rules that measurements are held against; empty: those for this kind of machine.
        credentials: what the coordinator asks for; None: it is on this machine and asks for nothing.
    """

    farm: str
    state: Path
    name: str
    labels: Mapping[str, str]
    runtimes: Mapping[str, str]
    emulated: bool = False
    profile: str = ""
    credentials: Credentials | None = None


async def run_worker(config: WorkerConfig, on_registered: Callable[[Registration], None]) -> None:
    """Works until cancelled; reconnects by itself. ``on_registered`` is called at each registration.

    Raises:
        RuntimeProblem: this machine does not offer the runtimes it should, or none at all.
        StateInUse: another worker uses the state folder.
        BadCredentials: the device's key is damaged or open to others.
        FarmUnavailable: the coordinator refuses this worker, and has never taken it since the start.
        ValueError: the farm's address is malformed, or needs credentials.
    """
    with StateLock(config.state):
        installed = await find_runtimes(config.runtimes, reference_path())
        worker = _Worker(config, describe_machine(config, installed), installed)
        try:
            await worker.stay_connected(on_registered)
        finally:
            await worker.stop_job("the worker stops")


def describe_machine(config: WorkerConfig, installed: tuple[InstalledRuntime, ...]) -> Registration:
    """What this worker registers: facts found, labels given, runtimes with their reference times."""
    facts = find_facts()
    return Registration(
        device_id=device_id_of(device_key(config.state)),
        name=config.name or facts["hostname"],
        device_class=device_class_of(facts),
        labels={**automatic_labels(facts), **config.labels},
        facts=facts,
        runtimes=tuple(entry.runtime for entry in installed),
        emulated=config.emulated,
        profile=config.profile or profile_of(facts, config.emulated),
        references_ms={
            f"{entry.runtime.name}/{delegate}": times_ms
            for entry in installed
            for delegate, times_ms in entry.references_ms.items()
        },
    )


def reconnect_delay(device_id: str, failures: int) -> float:
    """Seconds until the next attempt after so many in a row failed.

    Spread by up to half either way, differently for each device and attempt: a thousand workers that lost the
    same coordinator do not come back at once.
    """
    seconds = RECONNECT_SECONDS[min(failures, len(RECONNECT_SECONDS)) - 1]
    return seconds * random.Random(f"{device_id} {failures}").uniform(0.5, 1.5)


@dataclass(frozen=True)
class _Connection:
    """A connection in which the coordinator has welcomed us."""

    stub: Any
    outbox: asyncio.Queue[WorkerMessage | None]
    lease_seconds: float


class _Worker:
    """The process's life. The job and what it holds outlast connections, which come and go."""

    def __init__(
        self, config: WorkerConfig, registration: Registration, installed: tuple[InstalledRuntime, ...]
    ) -> None:
        self._config, self._registration = config, registration
        self._installed = {entry.runtime.name: entry for entry in installed}
        self._key = device_key(config.state)
        self._incarnation = secrets.token_hex(16)
        self._surroundings = Surroundings()
        self._holdings = Holdings()
        self._job: asyncio.Task[None] | None = None
        self._connection: _Connection | None = None
        self._lapse: asyncio.TimerHandle | None = None

    async def stay_connected(self, on_registered: Callable[[Registration], None]) -> None:
        """Connects again and again; says each reason once per outage."""
        failures, said, ever_welcomed = 0, set[str](), False

        def welcomed() -> None:
            nonlocal failures, ever_welcomed
            failures, ever_welcomed = 0, True
            said.clear()
            on_registered(self._registration)

        while True:
            try:
                await self._converse(welcomed)
                reason = "the coordinator closed the connection"
            except grpc.aio.AioRpcError as error:
                reason = self._explain(error)
                if error.code() in _REFUSALS and not ever_welcomed:
                    raise FarmUnavailable(f"{self._config.farm}: {reason}") from None
            failures += 1
            if reason not in said:
                logger.warning("no farm at %s: %s; trying again until it answers", self._config.farm, reason)
                said.add(reason)
            await asyncio.sleep(reconnect_delay(self._registration.device_id, failures))

    def _explain(self, error: grpc.aio.AioRpcError) -> str:
        match error.code():
            case grpc.StatusCode.CANCELLED:
                return "the coordinator stopped"
            case grpc.StatusCode.UNAVAILABLE:
                return explain_connection_failure(
                    error.details(), self._config.farm, self._config.credentials
                )
            case grpc.StatusCode.INTERNAL:
                # gRPC for asyncio may lose the words of an ending that meets a write
                # (https://github.com/grpc/grpc/issues/36066). The next attempt hears them.
                return "the coordinator ended the connection, and its words were lost"
            case _:
                return f"the coordinator refuses this worker: {error.details()}"

    async def _converse(self, on_welcome: Callable[[], None]) -> None:
        """One connection, from the introduction to its end."""
        outbox: asyncio.Queue[WorkerMessage | None] = asyncio.Queue()
        outbox.put_nowait(self._introduction())
        beating: asyncio.Task[None] | None = None
        async with open_aio_channel(self._config.farm, self._config.credentials) as channel:
            stub: Any = rpc.FleetStub(channel)
            try:
                async for wire in stub.Work(_outgoing(outbox)):
                    match self._understood(wire):
                        case Welcome(heartbeat_seconds, lease_seconds):
                            self._connected(_Connection(stub, outbox, lease_seconds))
                            beating = asyncio.create_task(self._beat(heartbeat_seconds, outbox))
                            on_welcome()
                        case Lease() as lease:
                            await self._begin(lease)
                        case Acknowledgement(token):
                            self._holdings = self._holdings.dropped(token)
                        case Revocation(token, reason):
                            await self._revoke(token, reason)
            finally:
                if beating is not None:
                    beating.cancel()
                outbox.put_nowait(None)
                self._disconnected()

    def _introduction(self) -> Introduction:
        return Introduction(self._registration, self._key, self._incarnation, self._holdings.tokens)

    def _understood(self, wire: pb.CoordinatorMessage) -> Any:
        """The message; None for one that only a newer worker would understand."""
        try:
            return convert.coordinator_message_from_wire(wire)
        except ValueError as error:
            logger.warning("the coordinator sent what this worker does not understand: %s", error)
            if wire.HasField("lease"):
                refusal = Failed(f"this worker does not understand the job: {error}")
                self._send(LeaseResult(wire.lease.token, refusal))
            return None

    def _connected(self, connection: _Connection) -> None:
        self._connection = connection
        if self._lapse is not None:
            self._lapse.cancel()
            self._lapse = None
        for result in self._holdings.results:
            self._send(result)

    def _disconnected(self) -> None:
        """The job may go on until the coordinator gives its lease to another device."""
        if self._connection is not None:
            loop = asyncio.get_running_loop()
            self._lapse = loop.call_later(self._connection.lease_seconds, self._give_up)
            self._connection = None

    def _give_up(self) -> None:
        if self._holdings.running is not None:
            self._cancel_job("its lease has lapsed, without a coordinator")

    async def _beat(self, seconds: float, outbox: asyncio.Queue[WorkerMessage | None]) -> None:
        while True:
            outbox.put_nowait(Heartbeat(self._holdings.tokens))
            await asyncio.sleep(seconds)

    def _send(self, message: WorkerMessage) -> None:
        """Without a connection, nothing: results are sent again in the next one."""
        if self._connection is not None:
            self._connection.outbox.put_nowait(message)

    async def _begin(self, lease: Lease) -> None:
        if lease.token in self._holdings.tokens:
            return  # heard before
        await self.stop_job("a new lease was granted")
        self._holdings = self._holdings.started(lease.token)
        assert self._connection is not None
        self._job = asyncio.create_task(self._work(lease, self._connection.stub))

    async def _revoke(self, token: int, reason: str) -> None:
        if token == self._holdings.running:
            await self.stop_job(reason)
        self._holdings = self._holdings.dropped(token)

    async def _work(self, lease: Lease, stub: Any) -> None:
        try:
            outcome = await self._outcome(lease, stub)
        except Exception as error:
            logger.exception("job %s: this worker failed", lease.job.job_id[:8])
            outcome = Failed(f"the worker failed: {error!r}")
        logger.info("job %s: %s", lease.job.job_id[:8], _in_words(outcome))
        self._holdings = self._holdings.ended(lease.token, outcome)
        self._send(LeaseResult(lease.token, outcome))

    async def _outcome(self, lease: Lease, stub: Any) -> RunOutcome:
        runtime = choose_runtime(lease.job.target, self._registration.runtimes)
        if runtime is None:
            return Failed(f"no runtime {lease.job.target.runtime} here", retryable=False)
        installed = self._installed[runtime.name]
        path = self._config.state / "model.tflite"
        try:
            return await run_job(
                lease.job,
                lambda: bring_model(lease, stub, path),
                installed,
                reference_path(),
                self._surroundings,
            )
        except NoModel as problem:
            return Failed(str(problem))
        except OSError as error:
            return Failed(f"cannot start {installed.python}: {error.strerror or error}")
        finally:
            path.unlink(missing_ok=True)

    async def stop_job(self, reason: str) -> None:
        """Kills what runs, if anything does, and waits until it is gone."""
        self._cancel_job(reason)
        if self._job is not None:
            await asyncio.wait({self._job})  # unlike awaiting the job, this lets our own cancellation through
            self._job = None

    def _cancel_job(self, reason: str) -> None:
        if self._holdings.running is not None:
            self._holdings = self._holdings.dropped(self._holdings.running)
        if self._job is not None and not self._job.done() and not self._job.cancelling():
            logger.info("stopping the job: %s", reason)
            self._job.cancel()


def _in_words(outcome: RunOutcome) -> str:
    match outcome:
        case RunReport():
            return f"measured, {len(outcome.samples_ms)} invocations"
        case Infeasible(message):
            return f"infeasible: {message}"
        case Failed(message):
            return f"failed: {message}"


async def _outgoing(outbox: asyncio.Queue[WorkerMessage | None]) -> AsyncIterator[pb.WorkerMessage]:
    """What is put into the outbox, up to a None."""
    while (message := await outbox.get()) is not None:
        yield convert.worker_message_to_wire(message)
