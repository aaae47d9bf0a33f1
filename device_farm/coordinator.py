"""The coordinator without its wire: feeds events to the scheduler and carries out its commands.

Everything here runs in one event loop, so that each event is handled to its end before the next.
"""

import asyncio
import itertools
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from device_farm.jobs import (
    CoordinatorMessage,
    Heartbeat,
    Job,
    JobOutcome,
    JobUpdate,
    LeaseResult,
    Queued,
    Registration,
    Revocation,
    Welcome,
    WorkerMessage,
)
from device_farm.scheduling import (
    Command,
    DropWorker,
    Event,
    FinishJob,
    GrantLease,
    HeartbeatSeen,
    JobAbandoned,
    JobSubmitted,
    Policy,
    ResultSeen,
    RevokeLease,
    Scheduler,
    TimePassed,
    UpdateJob,
    WorkerJoined,
    WorkerLeft,
    describe,
)
from device_farm.state import JobLog, ModelStore
from device_farm.types import Device, Measurement, measurement_to_json

TICK_SECONDS = 0.25

logger = logging.getLogger(__name__)


@dataclass
class Session:
    """One worker's connection. ``outbox`` holds what to send; None: nothing more, close it."""

    number: int
    name: str
    outbox: asyncio.Queue[CoordinatorMessage | None] = field(default_factory=asyncio.Queue)


class Coordinator:
    """Connects workers' sessions and clients' jobs through the scheduler."""

    def __init__(
        self,
        store: ModelStore,
        log: JobLog,
        policy: Policy,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.store = store
        self._log, self._policy, self._clock = log, policy, clock
        self._scheduler = Scheduler(policy)
        self._numbers = itertools.count(1)
        self._sessions: dict[int, Session] = {}
        self._updates: dict[str, asyncio.Queue[JobUpdate | None]] = {}
        self._closed = False

    # Workers

    def connect(self, registration: Registration) -> Session:
        """A worker registered; its session greets it."""
        session = Session(next(self._numbers), registration.name)
        self._sessions[session.number] = session
        session.outbox.put_nowait(Welcome(self._policy.heartbeat_seconds))
        logger.info("worker %s joined (%s)", registration.name, registration.device_class)
        self._apply(WorkerJoined(session.number, registration))
        return session

    def receive(self, session: Session, message: WorkerMessage) -> None:
        """Takes a message of a registered worker; raises ValueError for one that is out of place."""
        match message:
            case Heartbeat(tokens):
                self._apply(HeartbeatSeen(session.number, tokens))
            case LeaseResult(token, outcome):
                self._apply(ResultSeen(session.number, token, outcome))
            case Registration():
                raise ValueError("a worker registers once in a connection")

    def disconnect(self, session: Session, reason: str) -> None:
        """The worker's connection ended; harmless if it was dropped before."""
        if self._sessions.pop(session.number, None) is not None:
            logger.info("worker %s left: %s", session.name, reason)
            self._apply(WorkerLeft(session.number, reason))

    # Clients

    def submit(self, job: Job) -> asyncio.Queue[JobUpdate | None]:
        """Queues a job; its updates arrive in the returned queue, the last one being its outcome.

        None instead of an outcome: the coordinator stops.

        Raises:
            ValueError: a job with this id is under way.
        """
        if self._scheduler.has_job(job.job_id):
            raise ValueError(f"job {job.job_id} is already under way")
        updates: asyncio.Queue[JobUpdate | None] = asyncio.Queue()
        self._updates[job.job_id] = updates
        target = describe(job.target)
        self._log.append("submitted", job.job_id, model_sha256=job.model_sha256, target=target)
        self._apply(JobSubmitted(job))
        return updates

    def abandon(self, job_id: str, reason: str) -> None:
        """The client no longer wants the job; harmless if it is finished."""
        self._apply(JobAbandoned(job_id, reason))

    def devices(self) -> tuple[Device, ...]:
        return self._scheduler.devices()

    def trim_store(self) -> None:
        """Keeps the model store within its bound."""
        self.store.trim(self._scheduler.live_models())

    def close(self) -> None:
        """Ends every worker's session and every client's wait; nothing that happens later counts."""
        self._closed = True
        for session in self._sessions.values():
            session.outbox.put_nowait(None)
        for updates in self._updates.values():
            updates.put_nowait(None)

    # Time and commands

    async def keep_time(self) -> None:
        """Tells the scheduler the time, for ever: leases, silent workers and waiting jobs expire by it."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._apply(TimePassed())

    def _apply(self, event: Event) -> None:
        if self._closed:
            return
        for command in self._scheduler.handle(event, self._clock()):
            self._carry_out(command)

    def _carry_out(self, command: Command) -> None:
        match command:
            case GrantLease(number, lease):
                self._send(number, lease)
            case RevokeLease(number, token, reason):
                self._send(number, Revocation(token, reason))
            case DropWorker(number, reason):
                if session := self._sessions.pop(number, None):
                    logger.warning("worker %s dropped: %s", session.name, reason)
                    session.outbox.put_nowait(None)
            case UpdateJob(job_id, update):
                self._record(job_id, update)
                self._updates[job_id].put_nowait(update)
            case FinishJob(job_id, outcome):
                self._record(job_id, outcome)
                self._updates.pop(job_id).put_nowait(outcome)

    def _send(self, number: int, message: CoordinatorMessage) -> None:
        if session := self._sessions.get(number):
            session.outbox.put_nowait(message)

    def _record(self, job_id: str, update: JobUpdate) -> None:
        kind, text = _summary(update)
        short = job_id[:8]
        logger.info("job %s %s: %s", short, kind, text.splitlines()[0] if text else "")
        details = {"measurement": measurement_to_json(update)} if isinstance(update, Measurement) else {}
        self._log.append(kind, job_id, message=text, **details)


def _summary(update: Queued | JobUpdate | JobOutcome) -> tuple[str, str]:
    """A word and a text for the log."""
    if isinstance(update, Measurement):
        return "measured", f"{update.latency_ms:.4g} ms on {update.device_name}"
    text = getattr(update, "message", None) or getattr(update, "reason", None)
    return type(update).__name__.lower(), str(text or getattr(update, "device_name", ""))
