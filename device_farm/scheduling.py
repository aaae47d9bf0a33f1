"""Jobs, leases and devices as a pure state machine: events and the time go in, commands come out.

Nothing here does I/O or reads a clock. The shell (``device_farm.coordinator``) feeds what happened and
carries out the commands in order. Invariants, whatever the order of events:

* a job that was submitted is finished exactly once;
* a device holds at most one lease, a job at most one;
* a result counts only under the token of a live lease, from the connection that it was granted to.
"""

from bisect import insort
from dataclasses import dataclass, field

from device_farm.acceptance import RefusedReport, accept_report
from device_farm.jobs import (
    Cancelled,
    Failed,
    Infeasible,
    Job,
    JobOutcome,
    Lease,
    NoDevice,
    Queued,
    Registration,
    Running,
    RunOutcome,
    RunReport,
    choose_runtime,
    unmet_demand,
)
from device_farm.types import Device, Target


@dataclass(frozen=True)
class Policy:
    """The coordinator's times and limits.

    Attributes:
        heartbeat_seconds: how often a worker says that it is alive.
        silence_seconds: a worker that is silent for longer is lost.
        lease_seconds: a lease lapses when the worker's heartbeats leave it out for longer.
        lease_margin_seconds: what a job may take beyond its own timeout (download, start, report).
        max_attempts: how often a job is started before it fails.
    """

    heartbeat_seconds: float = 2.0
    silence_seconds: float = 10.0
    lease_seconds: float = 10.0
    lease_margin_seconds: float = 60.0
    max_attempts: int = 3


# Events: what happened. A session is one connection of a worker.


@dataclass(frozen=True)
class WorkerJoined:
    session: int
    registration: Registration


@dataclass(frozen=True)
class WorkerLeft:
    session: int
    reason: str


@dataclass(frozen=True)
class HeartbeatSeen:
    session: int
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class ResultSeen:
    session: int
    token: int
    outcome: RunOutcome


@dataclass(frozen=True)
class JobSubmitted:
    job: Job


@dataclass(frozen=True)
class JobAbandoned:
    job_id: str
    reason: str


@dataclass(frozen=True)
class TimePassed:
    pass


Event = WorkerJoined | WorkerLeft | HeartbeatSeen | ResultSeen | JobSubmitted | JobAbandoned | TimePassed

# Commands: what the shell has to do.


@dataclass(frozen=True)
class GrantLease:
    session: int
    lease: Lease


@dataclass(frozen=True)
class RevokeLease:
    session: int
    token: int
    reason: str


@dataclass(frozen=True)
class DropWorker:
    session: int
    reason: str


@dataclass(frozen=True)
class UpdateJob:
    job_id: str
    update: Queued | Running


@dataclass(frozen=True)
class FinishJob:
    job_id: str
    outcome: JobOutcome


Command = GrantLease | RevokeLease | DropWorker | UpdateJob | FinishJob


@dataclass
class _DeviceRecord:
    registration: Registration
    session: int | None  # None: offline
    last_seen: float
    token: int | None = None
    last_used: float = 0.0


@dataclass
class _JobRecord:
    job: Job
    sequence: int
    attempts: int = 0
    token: int | None = None
    unmet_since: float | None = None  # since when no registered device satisfies the target
    tried: set[str] = field(default_factory=set)


@dataclass
class _LeaseRecord:
    job_id: str
    device_id: str
    session: int
    lapses_at: float
    ends_at: float


class Scheduler:
    """The farm's state. ``handle`` is its only way to change."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._devices: dict[str, _DeviceRecord] = {}
        self._sessions: dict[int, str] = {}  # session -> device id
        self._jobs: dict[str, _JobRecord] = {}  # unfinished jobs only
        self._leases: dict[int, _LeaseRecord] = {}
        self._queue: list[tuple[int, int, str]] = []  # (-priority, sequence, job id), sorted
        self._last_token = 0
        self._last_sequence = 0
        self._commands: list[Command] = []

    def handle(self, event: Event, now: float) -> list[Command]:
        """Takes one event at ``now`` (seconds of any clock that never goes back); returns what to do."""
        self._commands = []
        match event:
            case WorkerJoined():
                self._join(event, now)
            case WorkerLeft():
                self._leave(event.session, event.reason, now)
            case HeartbeatSeen():
                self._heartbeat(event, now)
            case ResultSeen():
                self._result(event, now)
            case JobSubmitted():
                self._submit(event.job, now)
            case JobAbandoned():
                self._abandon(event)
            case TimePassed():
                self._expire(now)
        self._assign(now)
        return self._commands

    def has_job(self, job_id: str) -> bool:
        """Whether a job with this id is under way."""
        return job_id in self._jobs

    def live_models(self) -> set[str]:
        """Content hashes of the models that unfinished jobs need."""
        return {record.job.model_sha256 for record in self._jobs.values()}

    def devices(self) -> tuple[Device, ...]:
        """Every device that ever registered, sorted by name."""
        devices = (_public(record) for record in self._devices.values())
        return tuple(sorted(devices, key=lambda device: (device.name, device.device_id)))

    # Workers

    def _join(self, event: WorkerJoined, now: float) -> None:
        registration = event.registration
        known = self._devices.get(registration.device_id)
        if known is not None and known.session is not None:
            stale = known.session
            self._leave(stale, "its device connected again", now)
            self._commands.append(DropWorker(stale, f"device {registration.device_id} connected again"))
        last_used = known.last_used if known else 0.0
        self._devices[registration.device_id] = _DeviceRecord(
            registration, event.session, now, last_used=last_used
        )
        self._sessions[event.session] = registration.device_id
        self._review_waiting_jobs(now)

    def _leave(self, session: int, reason: str, now: float) -> None:
        device_id = self._sessions.pop(session, None)
        if device_id is None:
            return
        device = self._devices[device_id]
        device.session = None
        if device.token is not None:
            self._end_attempt(device.token, f"worker {device.registration.name} was lost: {reason}", now)
        self._review_waiting_jobs(now)

    def _heartbeat(self, event: HeartbeatSeen, now: float) -> None:
        device_id = self._sessions.get(event.session)
        if device_id is None:
            return
        self._devices[device_id].last_seen = now
        for token in event.tokens:
            lease = self._leases.get(token)
            if lease is not None and lease.session == event.session:
                lease.lapses_at = now + self._policy.lease_seconds
            else:
                self._commands.append(RevokeLease(event.session, token, "the lease is no longer valid"))

    def _result(self, event: ResultSeen, now: float) -> None:
        lease = self._leases.get(event.token)
        if lease is None or lease.session != event.session:
            return  # late or forged: the lease has ended, and with it the right to answer
        device = self._devices[lease.device_id]
        device.last_seen = now
        name = device.registration.name
        match event.outcome:
            case RunReport():
                job = self._jobs[lease.job_id].job
                try:
                    measurement = accept_report(event.outcome, job, device.registration)
                except RefusedReport as refusal:
                    self._end_attempt(event.token, f"worker {name} gave a wrong answer: {refusal}", now)
                else:
                    self._finish(lease.job_id, measurement)
            case Failed(message, retryable=True):
                self._end_attempt(event.token, f"{name}: {message}", now)
            case Failed(message):
                self._finish(lease.job_id, Failed(f"{name}: {message}", retryable=False))
            case Infeasible(message):
                runtime = choose_runtime(self._jobs[lease.job_id].job.target, device.registration.runtimes)
                where = f"{runtime.name} on {name}" if runtime else name
                self._finish(lease.job_id, Infeasible(f"{where}: {message}"))

    # Jobs

    def _submit(self, job: Job, now: float) -> None:
        if job.job_id in self._jobs:
            raise ValueError(f"job {job.job_id} is already under way")
        self._last_sequence += 1
        record = _JobRecord(job, self._last_sequence)
        self._jobs[job.job_id] = record
        self._enqueue(record, now, "waiting for a device")

    def _abandon(self, event: JobAbandoned) -> None:
        record = self._jobs.get(event.job_id)
        if record is None:
            return
        if record.token is not None:
            self._commands.append(RevokeLease(self._leases[record.token].session, record.token, event.reason))
        self._finish(event.job_id, Cancelled(event.reason))

    def _enqueue(self, record: _JobRecord, now: float, reason: str) -> None:
        insort(self._queue, _queue_entry(record))
        self._review(record, now)
        if record.unmet_since is not None:
            reason = f"no registered device satisfies {describe(record.job.target)} yet"
        self._commands.append(UpdateJob(record.job.job_id, Queued(reason)))

    def _finish(self, job_id: str, outcome: JobOutcome) -> None:
        record = self._jobs.pop(job_id)
        if record.token is None:
            self._queue.remove(_queue_entry(record))
        else:
            self._release(record.token)
        self._commands.append(FinishJob(job_id, outcome))

    # Leases

    def _assign(self, now: float) -> None:
        idle = {
            device_id: record
            for device_id, record in self._devices.items()
            if record.session is not None and record.token is None
        }
        for entry in list(self._queue):
            if not idle:
                return
            job = self._jobs[entry[2]]
            device_id = _best_device(job, idle)
            if device_id is not None:
                self._queue.remove(entry)
                self._grant(job, idle.pop(device_id), now)

    def _grant(self, record: _JobRecord, device: _DeviceRecord, now: float) -> None:
        assert device.session is not None
        self._last_token += 1
        token, job, device_id = self._last_token, record.job, device.registration.device_id
        self._leases[token] = _LeaseRecord(
            job.job_id,
            device_id,
            device.session,
            lapses_at=now + self._policy.lease_seconds,
            ends_at=now + job.settings.timeout_seconds + self._policy.lease_margin_seconds,
        )
        record.token = device.token = token
        record.attempts += 1
        record.tried.add(device_id)
        device.last_used = now
        self._commands.append(GrantLease(device.session, Lease(token, job)))
        self._commands.append(UpdateJob(job.job_id, Running(device.registration.name)))

    def _release(self, token: int) -> None:
        lease = self._leases.pop(token)
        self._devices[lease.device_id].token = None

    def _end_attempt(self, token: int, reason: str, now: float) -> None:
        """The attempt under this lease came to nothing: the job goes back to the queue, or fails."""
        record = self._jobs[self._leases[token].job_id]
        if record.attempts >= self._policy.max_attempts:
            message = f"gave up after {record.attempts} attempts; the last one: {reason}"
            self._finish(record.job.job_id, Failed(message))
            return
        self._release(token)
        record.token = None
        self._enqueue(record, now, f"attempt {record.attempts} failed: {reason}")

    # Time

    def _expire(self, now: float) -> None:
        for session, device_id in list(self._sessions.items()):
            silence = now - self._devices[device_id].last_seen
            if silence > self._policy.silence_seconds:
                reason = f"silent for {silence:.0f} s"
                self._commands.append(DropWorker(session, reason))
                self._leave(session, reason, now)
        for token, lease in list(self._leases.items()):
            if now > min(lease.lapses_at, lease.ends_at):
                self._commands.append(RevokeLease(lease.session, token, "the lease expired"))
                name = self._devices[lease.device_id].registration.name
                self._end_attempt(token, f"the lease of {name} expired", now)
        for _, _, job_id in list(self._queue):
            self._give_up_waiting(self._jobs[job_id], now)

    def _review_waiting_jobs(self, now: float) -> None:
        for _, _, job_id in self._queue:
            self._review(self._jobs[job_id], now)

    def _review(self, record: _JobRecord, now: float) -> None:
        """Starts, keeps or stops the clock of a job whose target no connected device satisfies."""
        satisfied = any(
            unmet_demand(record.job.target, device.registration) is None
            for device in self._devices.values()
            if device.session is not None
        )
        if satisfied:
            record.unmet_since = None
        elif record.unmet_since is None:
            record.unmet_since = now

    def _give_up_waiting(self, record: _JobRecord, now: float) -> None:
        wait = record.job.device_wait_seconds
        if record.unmet_since is not None and now - record.unmet_since >= wait:
            self._finish(record.job.job_id, NoDevice(self._lack(record.job.target, wait)))

    def _lack(self, target: Target, waited: float) -> str:
        found = [
            f"{device.name} ({device.device_class}): {unmet_demand(target, device) or device.state}"
            for device in self.devices()
        ]
        have = "; ".join(found) if found else "no device at all"
        return f"no device satisfied {describe(target)} within {waited:g} s; the farm has {have}"


def describe(target: Target) -> str:
    """The target in words, as in "soc=bcm2711, 4 threads, delegate xnnpack"."""
    labels = [f"{key}={value}" for key, value in sorted(target.labels.items())]
    runtime = [f"runtime {target.runtime}"] if target.runtime else []
    threads = f"{target.threads} thread" + ("s" if target.threads > 1 else "")
    return ", ".join([*labels, *runtime, threads, f"delegate {target.delegate}"])


def _queue_entry(record: _JobRecord) -> tuple[int, int, str]:
    return (-record.job.priority, record.sequence, record.job.job_id)


def _best_device(job: _JobRecord, idle: dict[str, _DeviceRecord]) -> str | None:
    """An idle device that serves the job: first one that has not tried it yet, then the longest unused."""
    fit = [key for key, device in idle.items() if unmet_demand(job.job.target, device.registration) is None]
    return min(fit, key=lambda key: (key in job.tried, idle[key].last_used, key), default=None)


def _public(record: _DeviceRecord) -> Device:
    registration = record.registration
    return Device(
        device_id=registration.device_id,
        name=registration.name,
        device_class=registration.device_class,
        labels=registration.labels,
        facts=registration.facts,
        runtimes=registration.runtimes,
        state="offline" if record.session is None else "idle" if record.token is None else "busy",
        emulated=registration.emulated,
    )
