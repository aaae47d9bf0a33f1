"""Jobs, leases and devices as a pure state machine: events and the time go in, decisions come out.

Nothing here does I/O or reads a clock. The shell (``coordinator.py``) feeds what happened, makes the records
durable, and only then carries out the commands, in order. Invariants, whatever the order of events, restarts
included:

* a job that was accepted is ended exactly once;
* a device holds at most one lease, a job at most one;
* a result counts only under the token of a live lease, from the device that it was granted to.
"""

from dataclasses import dataclass, field
from statistics import median

from device_farm.coordinator.acceptance import RefusedReport, accept_report, why_invalid
from device_farm.coordinator.events import (
    Command,
    Decision,
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
from device_farm.coordinator.fleet import DeviceRecord, Fleet
from device_farm.coordinator.matchmaking import Matchmaker, Place
from device_farm.coordinator.policy import Policy
from device_farm.coordinator.records import (
    AnswersTainted,
    AttemptEnded,
    DeviceForgotten,
    Ending,
    JobAccepted,
    JobEnded,
    LeaseGranted,
    Record,
    Snapshot,
    UnfinishedJob,
)
from device_farm.coordinator.references import hold_against_baseline, quietest_median, reference_key
from device_farm.jobs import (
    Acknowledgement,
    Cancelled,
    DeviceOrder,
    Failed,
    Infeasible,
    Introduction,
    Job,
    JobOutcome,
    Lease,
    NoDevice,
    Queued,
    Revocation,
    Running,
    RunReport,
    Welcome,
    choose_runtime,
    describe,
    unmet_demand,
)
from device_farm.measuring.drift import Bracket, DriftState, Verdict
from device_farm.types import Device, OrderRefused, Standing, Target


@dataclass
class _JobState:
    job: Job
    sequence: int
    unwatched_since: float
    attempts: dict[Ending, int] = field(default_factory=dict)
    tried: set[str] = field(default_factory=set)
    token: int | None = None
    watchers: int = 0


@dataclass
class _LeaseState:
    job_id: str
    device_id: str
    lapses_at: float
    ends_at: float


class Scheduler:
    """The farm's state. ``handle`` is its only way to change; ``snapshot`` is what a restart starts from."""

    def __init__(self, policy: Policy, snapshot: Snapshot | None = None, now: float = 0.0) -> None:
        kept = snapshot or Snapshot()
        self._policy = policy
        self._fleet = Fleet()
        self._matches = Matchmaker()
        self._jobs: dict[str, _JobState] = {}  # unfinished jobs only
        self._leases: dict[int, _LeaseState] = {}
        self._unwatched: set[str] = set()
        self._last_token = kept.last_token
        self._last_sequence = kept.last_sequence
        self._records: list[Record] = []
        self._commands: list[Command] = []
        for known in kept.devices:
            device = self._fleet.restore(known, now)
            if device.standing == "active":
                self._matches.add_device(device.registration, now)
        for unfinished in kept.jobs:
            self._restore(unfinished, now)

    def handle(self, event: Event, now: float) -> Decision:
        """Takes one event at ``now``, seconds of any clock that never goes back; returns what follows."""
        self._records, self._commands = [], []
        match event:
            case WorkerJoined(session, introduction):
                self._join(session, introduction, now)
            case WorkerLeft(session):
                self._leave(session, now)
            case HeartbeatSeen(session, tokens):
                self._heartbeat(session, tokens, now)
            case ResultSeen():
                self._result(event, now)
            case JobSubmitted():
                self._submit(event, now)
            case JobWatched(job_id):
                self._watch(job_id)
            case JobUnwatched(job_id):
                self._unwatch(job_id, now)
            case JobCancelled(job_id, reason):
                self._cancel(job_id, reason, now)
            case DeviceOrdered(device_id, order):
                self._order(self._fleet[device_id], order, now)
            case TimePassed():
                self._pass_time(now)
        return Decision(tuple(self._records), tuple(self._commands))

    # What the shell may ask

    def job(self, job_id: str) -> Job | None:
        """The unfinished job with this id."""
        state = self._jobs.get(job_id)
        return None if state is None else state.job

    def job_ids(self) -> set[str]:
        """The ids of all unfinished jobs."""
        return set(self._jobs)

    def places(self, target: Target, now: float) -> set[Place]:
        """Where a job with this target may be measured: earlier answers from there serve it."""
        return self._matches.places(target, now)

    def live_models(self) -> set[str]:
        """Content hashes of the models that unfinished jobs need."""
        return {state.job.model_sha256 for state in self._jobs.values()}

    def devices(self, now: float) -> tuple[Device, ...]:
        """Every device that the farm knows, sorted by name."""
        return self._fleet.devices(now)

    def check_order(self, order: DeviceOrder) -> str:
        """The id of the device that an order means.

        Raises:
            NoSuchDevice: none, or several, have this name; the message lists what there is.
            OrderRefused: the order makes no sense now.
        """
        device = self._fleet.find(order.device)
        if order.action == "remove" and device.session is not None:
            raise OrderRefused(f"{device.name} is connected: stop its worker first, then remove it")
        if order.recalibrate and order.action != "resume":
            raise OrderRefused("recalibrate goes with resume only")
        return device.device_id

    # Workers

    def _join(self, session: int, introduction: Introduction, now: float) -> None:
        known = self._fleet.get(introduction.registration.device_id)
        if known is not None and known.session is not None:
            if known.incarnation != introduction.incarnation:
                reason = f"another process is connected for device {known.name} ({known.device_id[:8]})"
                self._commands.append(DropWorker(session, reason, "ALREADY_EXISTS"))
                return
            self._commands.append(DropWorker(known.session, "it connected again"))
        is_restarted = known is None or known.incarnation != introduction.incarnation
        device = self._fleet.join(session, introduction, now)
        if device.standing == "active":
            self._matches.add_device(device.registration, now)
        self._send(session, Welcome(self._policy.heartbeat_seconds, self._policy.lease_seconds))
        if is_restarted:
            self._calibrate(device, now)
        self._records.append(device.known())
        self._settle_held_leases(device, introduction.held, now)
        self._offer(device, now)

    def _calibrate(self, device: DeviceRecord, now: float) -> None:
        """Holds the reference model's times at registration against the device's baselines, or sets them."""
        for key, times_ms in sorted(device.registration.references_ms.items()):
            recent_ms = quietest_median(times_ms)
            self._judge_bracket(device, key, Bracket(recent_ms, recent_ms), None, now)

    def _settle_held_leases(self, device: DeviceRecord, held: tuple[int, ...], now: float) -> None:
        """A lease outlives a lost connection if the worker's process, which runs the job, does."""
        assert device.session is not None
        if device.token is not None:
            if device.token in held:
                self._leases[device.token].lapses_at = now + self._policy.lease_seconds
            else:
                self._end_attempt(device.token, "loss", f"the worker of {device.name} lost the job", now)
        for token in held:
            if token != device.token:
                self._send(device.session, Revocation(token, "the lease is no longer valid"))

    def _leave(self, session: int, now: float) -> None:
        device = self._fleet.leave(session, now)
        if device is not None:
            self._matches.set_busy(device.device_id)

    def _heartbeat(self, session: int, tokens: tuple[int, ...], now: float) -> None:
        device = self._fleet.of_session(session)
        if device is None:
            return
        device.last_seen = now
        for token in tokens:
            lease = self._leases.get(token)
            if lease is not None and lease.device_id == device.device_id:
                lease.lapses_at = now + self._policy.lease_seconds
            else:
                self._send(session, Revocation(token, "the lease is no longer valid"))

    # Results

    def _result(self, event: ResultSeen, now: float) -> None:
        device = self._fleet.of_session(event.session)
        if device is None:
            return
        device.last_seen = now
        # Late, repeated and forged results are acknowledged as well, so that the worker forgets them.
        self._send(event.session, Acknowledgement(event.token))
        lease = self._leases.get(event.token)
        if lease is None or lease.device_id != device.device_id:
            return
        job = self._jobs[lease.job_id].job
        match event.outcome:
            case RunReport() as report:
                self._take_report(event.token, report, job, device, now)
            case Failed(message, retryable=True):
                self._end_attempt(event.token, "failure", f"{device.name}: {message}", now)
            case Failed(message):
                self._finish(job.job_id, Failed(f"{device.name}: {message}", retryable=False), now)
            case Infeasible(message):
                runtime = choose_runtime(job.target, device.registration.runtimes)
                where = f"{runtime.name} on {device.name}" if runtime else device.name
                self._finish(job.job_id, Infeasible(f"{where}: {message}"), now)

    def _take_report(self, token: int, report: RunReport, job: Job, device: DeviceRecord, now: float) -> None:
        try:
            measurement = accept_report(report, job, device.registration)
        except RefusedReport as refusal:
            self._end_attempt(token, "failure", f"{device.name} gave a wrong answer: {refusal}", now)
            return
        reason = why_invalid(report, device.profile) or self._why_tainted(report, job, device, now)
        if reason is None:
            self._finish(job.job_id, measurement, now)
        else:
            device.cool_until = now + device.profile.cooldown_seconds
            self._end_attempt(token, "invalid", f"invalid on {device.name}: {reason}", now)

    def _why_tainted(self, report: RunReport, job: Job, device: DeviceRecord, now: float) -> str | None:
        """Why the job must be measured again although its evidence is good: the device was not its old self."""
        bracket = Bracket(median(report.reference_before_ms), median(report.reference_after_ms))
        key = reference_key(report.runtime, report.delegate)
        verdict = self._judge_bracket(device, key, bracket, job.job_id, now)
        return None if verdict.action == "clean" else verdict.text

    def _judge_bracket(
        self, device: DeviceRecord, key: str, bracket: Bracket, job_id: str | None, now: float
    ) -> Verdict:
        """Holds the reference model's times against the baseline; a device that drifts is quarantined."""
        verdict, is_new_baseline = hold_against_baseline(device, key, bracket, job_id)
        if is_new_baseline:
            self._records.append(device.known())
        if verdict.action == "quarantine":
            suspects = device.last_jobs(verdict.suspect_brackets)
            self._records.append(AnswersTainted(device.device_id, suspects, verdict.text))
            self._stand(device, "quarantined", verdict.text, now)
        return verdict

    # Operators' orders

    def _order(self, device: DeviceRecord, order: DeviceOrder, now: float) -> None:
        match order.action:
            case "drain":
                self._stand(device, "draining", order.reason, now)
            case "quarantine":
                self._stand(device, "quarantined", order.reason, now)
                if device.token is not None:
                    self._revoke(device.token, "the device was quarantined")
                    self._end_attempt(device.token, "loss", f"{device.name} was quarantined", now)
            case "resume":
                device.drift = DriftState()
                if order.recalibrate:
                    device.baselines_ms.clear()
                self._stand(device, "active", "", now)
                self._offer(device, now)
            case "remove":
                self._matches.remove_device(device.device_id, now)
                if device.token is not None:
                    self._end_attempt(device.token, "loss", f"{device.name} was removed", now)
                self._fleet.forget(device.device_id)
                self._records.append(DeviceForgotten(device.device_id))

    def _stand(self, device: DeviceRecord, standing: Standing, reason: str, now: float) -> None:
        device.standing, device.standing_reason = standing, reason
        self._records.append(device.known())
        if standing != "active":
            self._matches.remove_device(device.device_id, now)
        elif device.present:
            self._matches.add_device(device.registration, now)

    # Jobs

    def _restore(self, kept: UnfinishedJob, now: float) -> None:
        state = _JobState(kept.job, kept.sequence, now, dict(kept.attempts), set(kept.tried), kept.token)
        self._jobs[kept.job.job_id] = state
        self._unwatched.add(kept.job.job_id)
        device = self._fleet.get(kept.device_id) if kept.device_id is not None else None
        if kept.token is None or device is None:
            state.token = None
            self._matches.add_job(kept.job, kept.sequence, state.tried, now)
        else:
            device.token = kept.token
            self._leases[kept.token] = self._lease(kept.job, device, now)

    def _submit(self, event: JobSubmitted, now: float) -> None:
        job = event.job
        if job.job_id in self._jobs:
            raise ValueError(f"job {job.job_id} is already under way")
        self._last_sequence += 1
        state = self._jobs[job.job_id] = _JobState(job, self._last_sequence, unwatched_since=now)
        self._unwatched.add(job.job_id)
        self._records.append(JobAccepted(job, state.sequence))
        if event.answer is not None:
            self._finish(job.job_id, event.answer, now)
        else:
            self._enqueue(state, "waiting for a device", now)

    def _watch(self, job_id: str) -> None:
        state = self._jobs.get(job_id)
        if state is None:
            return
        state.watchers += 1
        self._unwatched.discard(job_id)
        if state.token is None:
            update: Queued | Running = Queued(self._waits_for(state))
        else:
            update = Running(self._fleet[self._leases[state.token].device_id].name)
        self._update(state, update)

    def _unwatch(self, job_id: str, now: float) -> None:
        state = self._jobs.get(job_id)
        if state is None:
            return
        state.watchers -= 1
        if state.watchers == 0:
            state.unwatched_since = now
            self._unwatched.add(job_id)

    def _cancel(self, job_id: str, reason: str, now: float) -> None:
        state = self._jobs.get(job_id)
        if state is None:
            return
        if state.token is not None:
            self._revoke(state.token, reason)
        self._finish(job_id, Cancelled(reason), now)

    def _enqueue(self, state: _JobState, reason: str, now: float) -> None:
        self._matches.add_job(state.job, state.sequence, state.tried, now)
        device_id = self._matches.device_for(state.job.job_id)
        if device_id is not None:
            self._grant(state, self._fleet[device_id], now)
        else:
            self._update(state, Queued(self._waits_for(state, reason)))

    def _update(self, state: _JobState, update: Queued | Running) -> None:
        if state.watchers:
            self._commands.append(UpdateJob(state.job.job_id, update))

    def _waits_for(self, state: _JobState, reason: str = "waiting for a device") -> str:
        if self._matches.is_met(state.job.job_id):
            return reason
        return f"no registered device satisfies {describe(state.job.target)} yet"

    def _finish(self, job_id: str, outcome: JobOutcome, now: float) -> None:
        state = self._jobs.pop(job_id)
        self._unwatched.discard(job_id)
        self._matches.remove_job(job_id)
        device = None if state.token is None else self._release(state.token)
        where = "" if device is None else device.device_id
        self._records.append(JobEnded(job_id, outcome, where))
        self._commands.append(FinishJob(state.job, outcome))
        if device is not None:
            self._offer(device, now)

    # Leases

    def _offer(self, device: DeviceRecord, now: float) -> None:
        """Gives a device that is free its next job, or lets it wait for one."""
        free = device.session is not None and device.token is None and device.standing == "active"
        if not free or now < device.cool_until:
            self._matches.set_busy(device.device_id)
            return
        job_id = self._matches.job_for(device.device_id)
        if job_id is None:
            self._matches.set_idle(device.device_id)
        else:
            self._grant(self._jobs[job_id], device, now)

    def _grant(self, state: _JobState, device: DeviceRecord, now: float) -> None:
        assert device.session is not None  # or it would not be free
        job = state.job
        self._matches.remove_job(job.job_id)
        self._matches.set_busy(device.device_id)
        self._last_token += 1
        token = state.token = device.token = self._last_token
        self._leases[token] = self._lease(job, device, now)
        state.tried.add(device.device_id)
        self._records.append(LeaseGranted(job.job_id, token, device.device_id, device.name))
        self._send(device.session, Lease(token, job))
        self._update(state, Running(device.name))

    def _lease(self, job: Job, device: DeviceRecord, now: float) -> _LeaseState:
        return _LeaseState(
            job.job_id,
            device.device_id,
            lapses_at=now + self._policy.lease_seconds,
            ends_at=now + job.settings.timeout_seconds + self._policy.lease_margin_seconds,
        )

    def _release(self, token: int) -> DeviceRecord:
        device = self._fleet[self._leases.pop(token).device_id]
        device.token = None
        return device

    def _revoke(self, token: int, reason: str) -> None:
        device = self._fleet[self._leases[token].device_id]
        if device.session is not None:
            self._send(device.session, Revocation(token, reason))

    def _end_attempt(self, token: int, ending: Ending, reason: str, now: float) -> None:
        """The lease ends without an outcome: the job waits again, or fails if that happened too often."""
        state = self._jobs[self._leases[token].job_id]
        count = state.attempts[ending] = state.attempts.get(ending, 0) + 1
        if count >= self._policy.limit(ending):
            times = f"{count} attempts" if count > 1 else "one attempt"
            self._finish(state.job.job_id, Failed(f"gave up after {times}; the last one: {reason}"), now)
            return
        device = self._release(token)
        state.token = None
        self._records.append(AttemptEnded(state.job.job_id, token, ending, reason))
        self._enqueue(state, reason, now)
        self._offer(device, now)

    def _send(self, session: int, message: Welcome | Lease | Acknowledgement | Revocation) -> None:
        self._commands.append(Send(session, message))

    # Time

    def _pass_time(self, now: float) -> None:
        for device in self._fleet:
            self._watch_over(device, now)
        for token, lease in list(self._leases.items()):
            if token in self._leases and now > min(lease.lapses_at, lease.ends_at):
                self._expire(token, lease, now)
        for job_id, waited in list(self._matches.in_vain(now)):
            target = self._jobs[job_id].job.target
            self._finish(job_id, NoDevice(self._lack(target, waited, now)), now)
        for job_id in list(self._unwatched):
            state = self._jobs[job_id]
            if not state.job.detached and now - state.unwatched_since > self._policy.orphan_seconds:
                self._cancel(job_id, "nobody waits for it any longer", now)

    def _watch_over(self, device: DeviceRecord, now: float) -> None:
        """Disconnects a silent device, gives up an absent one, and ends a cooldown."""
        absence = now - device.last_seen
        if device.session is not None:
            if absence > self._policy.silence_seconds:
                self._commands.append(
                    DropWorker(device.session, f"silent for {absence:.0f} s", "UNAVAILABLE")
                )
                self._leave(device.session, now)
            elif device.cool_until and now >= device.cool_until:
                device.cool_until = 0.0
                self._offer(device, now)
        elif device.present and absence > self._policy.lease_seconds:
            device.present = False
            self._matches.remove_device(device.device_id, now)

    def _expire(self, token: int, lease: _LeaseState, now: float) -> None:
        name = self._fleet[lease.device_id].name
        self._revoke(token, "the lease expired")
        if now > lease.ends_at:
            self._end_attempt(token, "failure", f"{name} did not answer in the job's time", now)
        else:
            self._end_attempt(token, "loss", f"{name} was lost: the lease expired", now)

    def _lack(self, target: Target, waited: float, now: float) -> str:
        found = [
            f"{device.name} ({device.device_class}): {unmet_demand(target, device) or _why_not(device)}"
            for device in self.devices(now)
        ]
        have = "; ".join(found) if found else "no device at all"
        return f"no device satisfied {describe(target)} within {waited:g} s; the farm has {have}"


def _why_not(device: Device) -> str:
    if device.standing == "active":
        return device.state
    return f"{device.standing} ({device.standing_reason})" if device.standing_reason else device.standing
