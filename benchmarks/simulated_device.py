"""A device without hardware: speaks the worker's side of the farm's protocol and makes its samples up.

    python benchmarks/simulated_device.py --farm HOST:PORT [--number N]

Benchmarks run up to a thousand in one event loop, each over a connection of its own. Run as a program, one device
serves until it is killed, and each of its jobs takes the job's sampling time.
"""

import argparse
import asyncio
import hashlib
import random
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import grpc
from connections import ConnectionLost, open_channel, read, write

from device_farm import convert
from device_farm.jobs import (
    Acknowledgement,
    Heartbeat,
    Introduction,
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
from device_farm.types import Runtime

RUNTIME = Runtime("tflite-2.14.0", "2.14.0", ("none", "xnnpack"))
LATENCY_MS = 10.0
RECONNECT_SECONDS = (0.2, 0.6)  # drawn anew each time, so that a thousand devices do not come at once
EXECUTION = "execution"  # evidence that tells one run of a job from another


class StillConnected(Exception):
    """The coordinator has yet to notice that the device's former process is gone."""


@dataclass(frozen=True)
class Conduct:
    """How a device behaves under one lease.

    Attributes:
        hold_seconds: how long the job seems to run.
        copies: how often its result is sent.
        neglected: heartbeats leave the lease out, as if it were forgotten; the result comes all the same.
    """

    hold_seconds: float = 0.0
    copies: int = 1
    neglected: bool = False


AT_ONCE = Conduct()


class SimulatedDevice:
    """One device; ``run`` connects, answers leases, and connects again whenever the connection is lost.

    Args:
        farm: the coordinator's HOST:PORT.
        number: tells devices apart; the same number is the same device.
        on_lease: is told of each lease when it arrives.
        conduct: how to behave under a lease; None: answer at once.
    """

    def __init__(
        self,
        farm: str,
        number: int,
        *,
        on_lease: Callable[[Lease], None] | None = None,
        conduct: Callable[[Lease], Conduct] | None = None,
    ) -> None:
        self.registration, self._key = describe(number)
        self.welcome: Welcome | None = None  # None: not connected
        self._farm, self._on_lease, self._conduct = farm, on_lease, conduct
        self._incarnation = uuid.uuid4().hex
        self._running: dict[int, asyncio.Task[None]] = {}
        self._results: dict[int, LeaseResult] = {}  # not acknowledged yet
        self._neglected: set[int] = set()
        self._channel: grpc.aio.Channel | None = None
        self._call: Any = None
        self._sending = asyncio.Lock()

    @property
    def is_busy(self) -> bool:
        """Whether it runs a job, or holds a result that is not acknowledged."""
        return bool(self._running or self._results)

    async def run(self) -> None:
        """Serves until cancelled."""
        try:
            while True:
                async with open_channel(self._farm) as self._channel:
                    with suppress(ConnectionLost, StillConnected):
                        await self._session(rpc.FleetStub(self._channel))
                self.welcome = self._call = None
                await asyncio.sleep(random.uniform(*RECONNECT_SECONDS))
        finally:
            self._forget()

    async def cut(self) -> None:
        """The connection breaks; the device's process lives on."""
        if self._channel is not None:
            await self._channel.close()

    async def restart(self) -> None:
        """The device's process dies with all that it held; another one takes its place."""
        self._forget()
        self._incarnation = uuid.uuid4().hex
        await self.cut()

    def _forget(self) -> None:
        for task in self._running.values():
            task.cancel()
        self._running.clear()
        self._results.clear()
        self._neglected.clear()

    # One connection

    async def _session(self, stub: Any) -> None:
        self._call = stub.Work()
        held = tuple(self._held())
        await self._send(Introduction(self.registration, self._key, self._incarnation, held))
        heart: asyncio.Task[None] | None = None
        try:
            while (wire := await self._read()) is not grpc.aio.EOF:
                match convert.coordinator_message_from_wire(wire):
                    case Welcome() as welcome:
                        self.welcome = welcome
                        heart = asyncio.create_task(self._beat(welcome.heartbeat_seconds))
                        for result in list(self._results.values()):
                            await self._send(result)
                    case Lease() as lease:
                        await self._take(lease, stub)
                    case Acknowledgement(token):
                        self._results.pop(token, None)
                        self._neglected.discard(token)
                    case Revocation(token):
                        self._revoke(token)
        finally:
            if heart is not None:
                heart.cancel()

    async def _read(self) -> Any:
        try:
            return await read(self._call)
        except grpc.aio.AioRpcError as error:
            if error.code() != grpc.StatusCode.ALREADY_EXISTS:
                raise
            raise StillConnected(error.details()) from None

    def _held(self) -> list[int]:
        return [token for token in (*self._running, *self._results) if token not in self._neglected]

    async def _beat(self, seconds: float) -> None:
        with suppress(ConnectionLost):
            await asyncio.sleep(random.uniform(0, seconds))
            while True:
                await self._send(Heartbeat(tuple(self._held())))
                await asyncio.sleep(seconds)

    async def _send(self, message: WorkerMessage) -> None:
        async with self._sending:  # gRPC takes one write at a time
            if self._call is None:
                raise ConnectionLost("not connected")
            await write(self._call, convert.worker_message_to_wire(message))

    # One lease

    async def _take(self, lease: Lease, stub: Any) -> None:
        if self._on_lease is not None:
            self._on_lease(lease)
        conduct = AT_ONCE if self._conduct is None else self._conduct(lease)
        if conduct == AT_ONCE and lease.model is not None:
            await self._answer(lease, conduct)  # without the cost of a task
        elif lease.token not in self._running:
            if conduct.neglected:
                self._neglected.add(lease.token)
            self._running[lease.token] = asyncio.create_task(self._work(lease, conduct, stub))

    async def _work(self, lease: Lease, conduct: Conduct, stub: Any) -> None:
        with suppress(ConnectionLost):
            if lease.model is None:
                await download(stub, lease.job.model_sha256)
        await asyncio.sleep(conduct.hold_seconds)
        self._running.pop(lease.token, None)
        with suppress(ConnectionLost):  # it is kept until the next connection
            await self._answer(lease, conduct)

    async def _answer(self, lease: Lease, conduct: Conduct) -> None:
        result = self._results[lease.token] = LeaseResult(lease.token, made_up_report(lease))
        for _ in range(conduct.copies):
            await self._send(result)

    def _revoke(self, token: int) -> None:
        if token in self._neglected:
            return  # so that the answer comes late
        self._results.pop(token, None)
        if task := self._running.pop(token, None):
            task.cancel()


@asynccontextmanager
async def serving(devices: Iterable[SimulatedDevice]) -> AsyncIterator[None]:
    """Runs the devices; an error in one of them ends the whole block with an ExceptionGroup."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(device.run()) for device in devices]
        yield
        for task in tasks:
            task.cancel()


def describe(number: int) -> tuple[Registration, str]:
    """The registration of the device with this number, and its secret key."""
    key = hashlib.sha256(f"simulated device {number}".encode()).hexdigest()
    name = f"simulated-{number:04d}"
    registration = Registration(
        device_id=device_id_of(key),
        name=name,
        device_class="simulated",
        labels={"simulated": "yes", "name": name},
        facts={"cores": "4"},
        runtimes=(RUNTIME,),
        references_ms={f"{RUNTIME.name}/{delegate}": (1.0,) * 30 for delegate in RUNTIME.delegates},
    )
    return registration, key


def made_up_report(lease: Lease) -> RunReport:
    """A valid answer: as few samples as the job allows, all close to 10 ms; each execution has its own id."""
    job = lease.job
    samples = tuple(LATENCY_MS + 0.001 * (index % 7) for index in range(job.settings.min_invocations))
    return RunReport(
        model_sha256=job.model_sha256,
        runtime=RUNTIME.name,
        runtime_version=RUNTIME.version,
        threads=job.target.threads,
        delegate=job.target.delegate,
        samples_ms=samples,
        warmup_ms=samples[:2],
        cpu_ms=samples,
        reference_before_ms=(1.0,) * 10,
        reference_after_ms=(1.0,) * 10,
        stopped_by="interval",
        measured_at=time.time(),
        evidence={EXECUTION: uuid.uuid4().hex},
    )


async def download(stub: Any, sha256: str) -> None:
    """Fetches a model; raises ConnectionLost, or ValueError if what arrives is not what its hash says."""
    digest = hashlib.sha256()
    call = stub.DownloadModel(pb.DownloadModelRequest(sha256=sha256))
    while (chunk := await read(call)) is not grpc.aio.EOF:
        digest.update(chunk.data)
    if digest.hexdigest() != sha256:
        raise ValueError(f"the model arrived damaged: SHA-256 {digest.hexdigest()}, wanted {sha256}")


def main() -> None:
    """One device as a process."""
    parser = argparse.ArgumentParser(description="A simulated device.")
    parser.add_argument("--farm", metavar="HOST:PORT", required=True)
    parser.add_argument("--number", type=int, default=0)
    options = parser.parse_args()

    def conduct(lease: Lease) -> Conduct:
        return Conduct(hold_seconds=lease.job.settings.sampling_seconds)

    asyncio.run(_serve(SimulatedDevice(options.farm, options.number, conduct=conduct)))


async def _serve(device: SimulatedDevice) -> None:
    async with serving([device]):
        while device.welcome is None:
            await asyncio.sleep(0.01)
        print("connected", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    main()
