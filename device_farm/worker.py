"""The worker: dials the coordinator, offers this machine, and runs what it is leased, one job at a time."""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from device_farm import convert
from device_farm.addresses import CHANNEL_OPTIONS, short_reason
from device_farm.execution import run_job
from device_farm.facts import automatic_labels, device_class_of, find_facts
from device_farm.jobs import (
    Failed,
    Heartbeat,
    Lease,
    LeaseResult,
    Registration,
    Revocation,
    RunOutcome,
    Welcome,
    WorkerMessage,
    choose_runtime,
)
from device_farm.rpc import farm_pb2 as pb
from device_farm.rpc import farm_pb2_grpc as rpc
from device_farm.runtimes import InstalledRuntime, find_runtimes
from device_farm.state import StateLock, stable_device_id

RECONNECT_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0)  # the last one for ever

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class WorkerConfig:
    """What the device's owner says. ``runtimes`` maps names to further Pythons, ``name`` may be empty."""

    farm: str
    state: Path
    name: str
    labels: Mapping[str, str]
    runtimes: Mapping[str, str]
    emulated: bool = False


async def run_worker(config: WorkerConfig, on_registered: Callable[[Registration], None]) -> None:
    """Works until cancelled; reconnects by itself. ``on_registered`` is called at each registration.

    Raises:
        RuntimeProblem: this machine does not offer the runtimes it should, or none at all.
        StateInUse: another worker uses the state folder.
    """
    with StateLock(config.state):
        installed = await find_runtimes(config.runtimes)
        registration = describe_machine(config, installed)
        worker = _Worker(config, registration, {entry.runtime.name: entry for entry in installed})
        failures = 0

        def welcomed() -> None:
            nonlocal failures
            failures = 0
            on_registered(registration)

        while True:
            try:
                await worker.session(welcomed)
                reason = "the coordinator closed the connection"
            except grpc.aio.AioRpcError as error:
                stopped = error.code() == grpc.StatusCode.CANCELLED
                reason = "the coordinator stopped" if stopped else short_reason(error.details())
            delay = RECONNECT_SECONDS[min(failures, len(RECONNECT_SECONDS) - 1)]
            failures += 1
            logger.warning("no farm at %s: %s; trying again in %g s", config.farm, reason, delay)
            await asyncio.sleep(delay)


def describe_machine(config: WorkerConfig, installed: tuple[InstalledRuntime, ...]) -> Registration:
    """What this worker registers: facts found, labels given (which win over automatic ones), runtimes."""
    facts = find_facts()
    return Registration(
        device_id=stable_device_id(config.state),
        name=config.name or facts["hostname"],
        device_class=device_class_of(facts),
        labels={**automatic_labels(facts), **config.labels},
        facts=facts,
        runtimes=tuple(entry.runtime for entry in installed),
        emulated=config.emulated,
    )


class _Worker:
    def __init__(
        self, config: WorkerConfig, registration: Registration, installed: Mapping[str, InstalledRuntime]
    ) -> None:
        self._config, self._registration, self._installed = config, registration, installed
        self._token: int | None = None
        self._job: asyncio.Task[None] | None = None

    async def session(self, on_welcome: Callable[[], None]) -> None:
        """One connection to the coordinator; ``on_welcome`` is called when it has registered us."""
        outbox: asyncio.Queue[WorkerMessage] = asyncio.Queue()
        outbox.put_nowait(self._registration)
        async with grpc.aio.insecure_channel(self._config.farm, options=CHANNEL_OPTIONS) as channel:
            stub: Any = rpc.FleetStub(channel)
            heart: asyncio.Task[None] | None = None
            try:
                async for wire in stub.Work(_outgoing(outbox)):
                    match convert.coordinator_message_from_wire(wire):
                        case Welcome(heartbeat_seconds):
                            heart = asyncio.create_task(self._beat(heartbeat_seconds, outbox))
                            on_welcome()
                        case Lease() as lease:
                            await self._stop_job("a new lease was granted")
                            self._token = lease.token
                            self._job = asyncio.create_task(self._work(lease, stub, outbox))
                        case Revocation(token, reason):
                            if token == self._token:
                                await self._stop_job(reason)
            finally:
                if heart is not None:
                    heart.cancel()
                await self._stop_job("the connection ended")

    async def _beat(self, seconds: float, outbox: asyncio.Queue[WorkerMessage]) -> None:
        while True:
            tokens = () if self._token is None else (self._token,)
            outbox.put_nowait(Heartbeat(tokens))
            await asyncio.sleep(seconds)

    async def _work(self, lease: Lease, stub: Any, outbox: asyncio.Queue[WorkerMessage]) -> None:
        outcome = await self._outcome(lease, stub)
        logger.info("job %s: %s", lease.job.job_id[:8], type(outcome).__name__.lower())
        self._token = None
        outbox.put_nowait(LeaseResult(lease.token, outcome))

    async def _outcome(self, lease: Lease, stub: Any) -> RunOutcome:
        job = lease.job
        runtime = choose_runtime(job.target, self._registration.runtimes)
        if runtime is None:
            return Failed(f"no runtime {job.target.runtime} here", retryable=False)
        model = self._config.state / "model.tflite"
        try:
            await _download(stub, job.model_sha256, model)
            return await run_job(job, model, self._installed[runtime.name])
        except grpc.aio.AioRpcError as error:
            return Failed(f"cannot fetch the model: {short_reason(error.details())}")
        except OSError as error:
            return Failed(f"cannot run the job: {error}")
        finally:
            model.unlink(missing_ok=True)

    async def _stop_job(self, reason: str) -> None:
        """Kills what runs, if anything does, and waits until it is gone."""
        job, self._job, self._token = self._job, None, None
        if job is None or job.done():
            return
        logger.info("stopping the job: %s", reason)
        job.cancel()
        await asyncio.wait({job})  # unlike awaiting the job, this lets a cancellation of the worker through


async def _outgoing(outbox: asyncio.Queue[WorkerMessage]) -> AsyncIterator[pb.WorkerMessage]:
    while True:
        yield convert.worker_message_to_wire(await outbox.get())


async def _download(stub: Any, sha256: str, path: Path) -> None:
    """Fetches a model; raises OSError if what arrives is not what its hash says."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        async for chunk in stub.DownloadModel(pb.DownloadModelRequest(sha256=sha256)):
            digest.update(chunk.data)
            file.write(chunk.data)
    if digest.hexdigest() != sha256:
        raise OSError(f"the model arrived damaged: SHA-256 {digest.hexdigest()}, wanted {sha256}")
