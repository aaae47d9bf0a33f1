"""The coordinator without its wire: feeds events to the scheduler and carries out its decisions.

Everything here runs in one event loop. Events change the scheduler's state at once; what follows from them
waits until the records are durable. Records that come up while the disk is busy form the next group.
"""

import asyncio
import itertools
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256

from device_farm.coordinator.acceptance import check_registration
from device_farm.coordinator.answers import answer_key
from device_farm.coordinator.database import Database, KeptJob, ModelStored
from device_farm.coordinator.events import (
    Command,
    DeviceOrdered,
    DropWorker,
    Event,
    FinishJob,
    HeartbeatSeen,
    JobCancelled,
    JobSubmitted,
    JobUnwatched,
    JobWatched,
    ResultSeen,
    Send,
    TimePassed,
    UpdateJob,
    WorkerJoined,
    WorkerLeft,
)
from device_farm.coordinator.model_store import ModelStore
from device_farm.coordinator.policy import Policy
from device_farm.coordinator.records import Record
from device_farm.coordinator.scheduling import Scheduler
from device_farm.jobs import (
    INLINE_MODEL_BYTES,
    CoordinatorMessage,
    DeviceOrder,
    Heartbeat,
    Introduction,
    Job,
    JobOutcome,
    JobUpdate,
    Lease,
    LeaseResult,
    WorkerMessage,
)
from device_farm.model_files.model_check import RefusedModel, check_model
from device_farm.types import Device, JobRecord, Measurement

TICK_SECONDS = 0.25
RETRY_SECONDS = 1.0  # after the disk refused a group
# The more clients wait, the longer records are gathered for one write; a few clients never notice.
GATHER_SECONDS_PER_CLIENT = 0.00005
MIN_GATHER_SECONDS, MAX_GATHER_SECONDS = 0.001, 0.005  # an event loop cannot sleep for less
HOUSEKEEPING_SECONDS = 600.0

logger = logging.getLogger(__name__)


class UnknownModel(LookupError):
    """A job's model is neither stored nor sent along."""


class JobMismatch(LookupError):
    """Another job has this id."""


class CannotStore(OSError):
    """The disk takes nothing more at the moment."""


@dataclass
class Session:
    """One worker's connection. ``outbox`` holds what to send; a DropWorker ends it."""

    number: int
    name: str
    outbox: asyncio.Queue[CoordinatorMessage | DropWorker] = field(default_factory=asyncio.Queue)


@dataclass
class Watch:
    """One client's wait for a job. ``updates`` ends with its outcome, or with None: the coordinator stops."""

    job_id: str
    updates: asyncio.Queue[JobUpdate | None] = field(default_factory=asyncio.Queue)


@dataclass(frozen=True)
class Notify:
    """A command of the shell's own: say that all before it has been carried out."""

    reached: asyncio.Event


class Coordinator:
    """Connects workers' sessions and clients' jobs through the scheduler and the database."""

    def __init__(
        self,
        store: ModelStore,
        database: Database,
        policy: Policy,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.store = store
        self._database, self._clock, self._wall_clock = database, clock, wall_clock
        self._scheduler = Scheduler(policy, database.snapshot(), clock())
        self._numbers = itertools.count(1)
        self._sessions: dict[int, Session] = {}
        self._watches: dict[str, list[Watch]] = {}
        self._ending: dict[str, Job] = {}  # ended, but not durably yet
        self._kept_ids = database.job_ids()  # so that a new job's id need not be looked up on the disk
        self._records: list[Record | ModelStored] = []
        self._commands: list[Command | Notify] = []
        self._wake = asyncio.Event()
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="database")
        self._trouble: str | None = None
        self._closed = False

    # Workers

    def connect(self, introduction: Introduction) -> Session:
        """A worker introduces itself; its session is welcomed or dropped through its outbox.

        Raises:
            ValueError: the registration makes no sense.
        """
        registration = introduction.registration
        check_registration(registration)
        session = Session(next(self._numbers), registration.name)
        self._sessions[session.number] = session
        logger.info("worker %s joined (%s)", registration.name, registration.device_class)
        self._apply(WorkerJoined(session.number, introduction))
        return session

    def receive(self, session: Session, message: WorkerMessage) -> None:
        """Takes a message of a registered worker; raises ValueError for one that is out of place."""
        match message:
            case Heartbeat(tokens):
                self._apply(HeartbeatSeen(session.number, tokens))
            case LeaseResult(token, outcome):
                self._apply(ResultSeen(session.number, token, outcome))
            case Introduction():
                raise ValueError("a worker registers once in a connection")

    def disconnect(self, session: Session, reason: str) -> None:
        """The worker's connection ended; harmless if it was dropped before."""
        if self._sessions.pop(session.number, None) is not None:
            logger.info("worker %s left: %s", session.name, reason)
            self._apply(WorkerLeft(session.number))

    # Clients

    def watch(self, job: Job, model: bytes | None) -> Watch:
        """Submits a job, or goes on with it if it is known; the caller must ``unwatch`` it in the end.

        Raises:
            UnknownModel: the model is neither stored nor given.
            RefusedModel: the model given is no whole TFLite file, or has another hash.
            JobMismatch: another job has this id.
            CannotStore: the disk is full.
        """
        watch = Watch(job.job_id)
        known = self._known_job(job.job_id)
        if known is not None and known.job != job:
            raise JobMismatch(f"another job has the id {job.job_id}")
        if known is None:
            self._submit(job, model)
        elif known.outcome is not None:
            watch.updates.put_nowait(known.outcome)
            return watch
        self._watches.setdefault(job.job_id, []).append(watch)
        self._apply(JobWatched(job.job_id))
        return watch

    def unwatch(self, watch: Watch) -> None:
        """The client waits no longer; the job goes on for a while in case it comes back."""
        watches = self._watches.get(watch.job_id, [])
        if watch in watches:
            watches.remove(watch)
            if not watches:
                del self._watches[watch.job_id]
            self._apply(JobUnwatched(watch.job_id))

    async def cancel(self, job_id: str, reason: str) -> None:
        """Ends a job, durably; harmless if it has ended."""
        self._apply(JobCancelled(job_id, reason))
        await self._all_is_durable()

    def job_record(self, job_id: str) -> JobRecord:
        """A job with its story; raises NoSuchJob."""
        return self._database.job_record(job_id)

    def job_records(self, limit: int) -> tuple[JobRecord, ...]:
        """The jobs submitted last."""
        return self._database.job_records(limit)

    def devices(self) -> tuple[Device, ...]:
        return self._scheduler.devices(self._clock())

    async def order(self, order: DeviceOrder) -> str:
        """Carries an operator's order out, durably; tells what came of it.

        Raises:
            NoSuchDevice: the farm has none, or several, of this name.
            OrderRefused: the order makes no sense now.
        """
        device_id = self._scheduler.check_order(order)
        self._apply(DeviceOrdered(device_id, order))
        await self._all_is_durable()
        device = next((known for known in self.devices() if known.device_id == device_id), None)
        return f"{order.device} is removed" if device is None else _standing_in_words(device)

    def model(self, digest: str) -> bytes | None:
        """A stored model file."""
        small = self._database.model(digest)
        if small is not None:
            return small
        path = self.store.path(digest)
        return None if path is None else path.read_bytes()

    def _known_job(self, job_id: str) -> KeptJob | None:
        unfinished = self._scheduler.job(job_id) or self._ending.get(job_id)
        if unfinished is not None:
            return KeptJob(unfinished, None)
        return self._database.find_job(job_id) if job_id in self._kept_ids else None

    def _submit(self, job: Job, model: bytes | None) -> None:
        if self._trouble is not None:
            raise CannotStore(f"the coordinator cannot write its state: {self._trouble}")
        if model is not None:
            self._keep_small_model(job.model_sha256, model)
        elif not self._has_model(job.model_sha256):
            raise UnknownModel(f"no model {job.model_sha256} is stored")
        self._kept_ids.add(job.job_id)
        self._apply(JobSubmitted(job, self._earlier_answer(job)))

    def _keep_small_model(self, digest: str, model: bytes) -> None:
        if len(model) > INLINE_MODEL_BYTES:
            raise RefusedModel(
                f"a model of {len(model)} bytes must be uploaded: {INLINE_MODEL_BYTES} are allowed here"
            )
        if sha256(model).hexdigest() != digest:
            raise RefusedModel(f"the model's SHA-256 is not {digest}")
        check_model(model)
        self._records.append(ModelStored(digest, model))

    def _has_model(self, digest: str) -> bool:
        return self.store.path(digest) is not None or self._database.model(digest) is not None

    def _earlier_answer(self, job: Job) -> Measurement | None:
        if job.fresh or job.profile_operators:
            return None
        places = self._scheduler.places(job.target, self._clock())
        return self._database.answer(answer_key(job, place) for place in places)

    async def _all_is_durable(self) -> None:
        """Waits until everything decided so far has been made durable and carried out."""
        reached = asyncio.Event()
        self._commands.append(Notify(reached))
        self._wake.set()
        await reached.wait()

    # Time

    async def run(self) -> None:
        """Keeps time and makes decisions durable until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_time())
            tasks.create_task(self._carry_on())
            tasks.create_task(self._keep_house())

    def close(self) -> None:
        """Ends every worker's session and every client's wait; what is not durable yet never happened."""
        self._closed = True
        for session in self._sessions.values():
            session.outbox.put_nowait(DropWorker(session.number, "the coordinator stopped", "UNAVAILABLE"))
        for watches in self._watches.values():
            for watch in watches:
                watch.updates.put_nowait(None)
        self._disk.shutdown()

    async def _keep_time(self) -> None:
        """Tells the scheduler the time: leases, silent workers and waiting jobs expire by it."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._apply(TimePassed())

    async def _keep_house(self) -> None:
        """Keeps the model store and the database within their bounds."""
        while True:
            live = self._scheduler.live_models()
            self.store.trim(live)
            try:
                await self._on_disk(partial(self._database.forget_old, live))
            except sqlite3.OperationalError as error:
                logger.warning("cannot tidy the database: %s", error)
            self._kept_ids = self._database.job_ids() | self._scheduler.job_ids() | self._ending.keys()
            await asyncio.sleep(HOUSEKEEPING_SECONDS)

    # Decisions

    def _apply(self, event: Event) -> None:
        if self._closed:
            return
        decision = self._scheduler.handle(event, self._clock())
        self._records.extend(decision.records)
        self._commands.extend(decision.commands)
        for command in decision.commands:
            if isinstance(command, FinishJob):
                self._ending[command.job.job_id] = command.job
        if self._records or self._commands:
            self._wake.set()

    async def _carry_on(self) -> None:
        """Makes records durable, group by group, and carries out what waited for them."""
        while True:
            await self._wake.wait()
            gather_seconds = min(GATHER_SECONDS_PER_CLIENT * len(self._watches), MAX_GATHER_SECONDS)
            if gather_seconds >= MIN_GATHER_SECONDS:
                await asyncio.sleep(gather_seconds)
            self._wake.clear()
            records, self._records = self._records, []
            commands, self._commands = self._commands, []
            if records:
                await self._commit(records)
            for command in commands:
                self._carry_out(command)

    async def _commit(self, records: list[Record | ModelStored]) -> None:
        """Tries until the disk has it: nothing that was decided may be lost, and nothing goes out before."""
        while True:
            try:
                await self._on_disk(lambda: self._database.commit(records, self._wall_clock()))
            except sqlite3.OperationalError as error:
                if self._trouble is None:
                    logger.error("cannot write the state, trying again: %s", error)
                self._trouble = str(error)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                self._trouble = None
                return

    def _on_disk(self, action: Callable[[], None]) -> Awaitable[None]:
        return asyncio.get_running_loop().run_in_executor(self._disk, action)

    def _carry_out(self, command: Command | Notify) -> None:
        match command:
            case Send(number, message):
                if session := self._sessions.get(number):
                    session.outbox.put_nowait(self._with_model(message))
            case DropWorker(number, reason):
                if session := self._sessions.pop(number, None):
                    logger.warning("worker %s dropped: %s", session.name, reason)
                    session.outbox.put_nowait(command)
            case UpdateJob(job_id, update):
                self._tell(job_id, update)
            case Notify(reached):
                reached.set()
            case FinishJob(job, outcome):
                self._ending.pop(job.job_id, None)
                self._tell(job.job_id, outcome)
                self._watches.pop(job.job_id, None)

    def _with_model(self, message: CoordinatorMessage) -> CoordinatorMessage:
        """A lease takes a small model along."""
        if isinstance(message, Lease):
            return Lease(message.token, message.job, self._database.model(message.job.model_sha256))
        return message

    def _tell(self, job_id: str, update: JobUpdate | JobOutcome) -> None:
        logger.debug("job %s: %s", job_id[:8], type(update).__name__)
        for watch in self._watches.get(job_id, ()):
            watch.updates.put_nowait(update)


def _standing_in_words(device: Device) -> str:
    because = f": {device.standing_reason}" if device.standing_reason else ""
    match device.standing:
        case "active":
            return f"{device.name} is active and takes jobs"
        case "draining" if device.state == "busy":
            return f"{device.name} ends its job and takes no other{because}"
        case "draining":
            return f"{device.name} takes no jobs{because}"
        case _:
            return f"{device.name} is quarantined and takes no jobs{because}"
