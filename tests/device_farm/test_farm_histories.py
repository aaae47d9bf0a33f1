"""Random histories of workers, jobs, answers, operators, time and restarts, on the real database."""

import tempfile
from pathlib import Path

from farm_reports import introduction, job, report
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from device_farm.coordinator.database import Database
from device_farm.coordinator.events import (
    DeviceOrdered,
    DropWorker,
    FinishJob,
    HeartbeatSeen,
    JobCancelled,
    JobSubmitted,
    JobUnwatched,
    JobWatched,
    ResultSeen,
    Send,
    TimePassed,
    WorkerJoined,
    WorkerLeft,
)
from device_farm.coordinator.policy import Policy
from device_farm.coordinator.records import AttemptEnded, JobEnded, LeaseGranted
from device_farm.coordinator.scheduling import Scheduler
from device_farm.jobs import DeviceOrder, Failed, Infeasible, Lease, device_id_of
from device_farm.types import Measurement, NoSuchDevice, OrderRefused, Target

POLICY = Policy(silence_seconds=10, lease_seconds=10, max_losses=3, orphan_seconds=500)
ANSWERS = [
    report(),
    report(()),
    report(reference_before_ms=(9.0,)),
    report(evidence={"throttled_now": True}),
    Infeasible("bad"),
    Failed("oops"),
    Failed("no", False),
]


class Histories(RuleBasedStateMachine):
    """What is durable must suffice: a restart may come between any two events.

    The test keeps its own account of leases and outcomes from the records alone, and compares.
    """

    sessions = Bundle("sessions")
    jobs = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self.database = Database(Path(self._folder.name) / "farm.db")
        self.scheduler = Scheduler(POLICY, self.database.snapshot(), 0.0)
        self.now, self.last_session, self.last_job, self.last_token = 0.0, 0, 0, 0
        self.sessions_of: dict[int, str] = {}  # session -> device name, while connected
        self.running: dict[str, tuple[str, int]] = {}  # job -> device id, token
        self.submitted: set[str] = set()
        self.outcomes: dict[str, object] = {}
        self.announced: dict[str, object] = {}

    def happen(self, event) -> None:
        decision = self.scheduler.handle(event, self.now)
        self.database.commit(decision.records, at=self.now)
        for record in decision.records:
            self.account(record)
        for command in decision.commands:
            match command:
                case FinishJob(finished, outcome):
                    assert finished.job_id not in self.announced
                    self.announced[finished.job_id] = outcome
                case DropWorker(session):
                    self.sessions_of.pop(session, None)
                case Send(session, Lease(token, leased)):
                    device = self.sessions_of[session]
                    assert self.running[leased.job_id] == (device_id_of(device), token)

    def account(self, record) -> None:
        match record:
            case LeaseGranted(job_id, token, device_id):
                assert token > self.last_token
                assert job_id not in self.running
                assert device_id not in [device for device, _ in self.running.values()]
                self.last_token = token
                self.running[job_id] = (device_id, token)
            case AttemptEnded(job_id, token):
                assert self.running.pop(job_id)[1] == token
            case JobEnded(job_id, outcome):
                assert job_id not in self.outcomes
                self.running.pop(job_id, None)
                self.outcomes[job_id] = outcome

    @rule(
        target=sessions, device=st.sampled_from("xyz"), incarnation=st.sampled_from("ab"), holds=st.booleans()
    )
    def join(self, device, incarnation, holds):
        held = [token for owner, token in self.running.values() if owner == device_id_of(device)]
        self.last_session += 1
        self.sessions_of[self.last_session] = device
        labels = {"kind": "odd" if device == "z" else "even"}
        words = introduction(device, incarnation, tuple(held) if holds else (), labels=labels)
        self.happen(WorkerJoined(self.last_session, words))
        return self.last_session

    @rule(session=consumes(sessions))
    def leave(self, session):
        self.sessions_of.pop(session, None)
        self.happen(WorkerLeft(session))

    @rule(target=jobs, kind=st.sampled_from(["odd", "even", "absent", ""]), priority=st.integers(0, 2))
    def submit(self, kind, priority):
        self.last_job += 1
        job_id = f"j{self.last_job}"
        self.submitted.add(job_id)
        target = Target({"kind": kind} if kind else {})
        self.happen(JobSubmitted(job(job_id, target=target, priority=priority)))
        self.happen(JobWatched(job_id))
        return job_id

    @rule(job_id=jobs)
    def cancel(self, job_id):
        self.happen(JobCancelled(job_id, "changed my mind"))
        assert job_id in self.outcomes

    @rule(job_id=jobs)
    def lose_the_client_and_find_it_again(self, job_id):
        self.happen(JobUnwatched(job_id))
        self.happen(JobWatched(job_id))

    @rule(session=sessions, token=st.integers(1, 12), outcome=st.sampled_from(ANSWERS))
    def answer_at_random(self, session, token, outcome):
        before = dict(self.outcomes)
        device = self.sessions_of.get(session)
        entitled = device is not None and (device_id_of(device), token) in self.running.values()
        self.happen(ResultSeen(session, token, outcome))
        assert entitled or before == self.outcomes

    @rule(outcome=st.sampled_from(ANSWERS), pick=st.integers(0, 5))
    def answer_a_lease(self, outcome, pick):
        """An answer under a live lease; a good one in good conditions is the job's outcome at once."""
        held = sorted(self.running.items())
        if not held:
            return
        job_id, (device_id, token) = held[pick % len(held)]
        for session, device in list(self.sessions_of.items()):
            if device_id_of(device) == device_id:
                self.happen(ResultSeen(session, token, outcome))
                if outcome == ANSWERS[0]:
                    assert isinstance(self.outcomes[job_id], Measurement)

    @rule(session=sessions, named=st.booleans())
    def beat(self, session, named):
        device = self.sessions_of.get(session)
        held = [token for owner, token in self.running.values() if device and owner == device_id_of(device)]
        self.happen(HeartbeatSeen(session, tuple(held) if named else ()))

    @rule(device=st.sampled_from("xyz"), action=st.sampled_from(["drain", "resume", "quarantine", "remove"]))
    def order(self, device, action):
        order = DeviceOrder(f"board-{device}", action)
        try:
            device_id = self.scheduler.check_order(order)
        except (NoSuchDevice, OrderRefused):
            return
        self.happen(DeviceOrdered(device_id, order))

    @rule(target=jobs, seconds=st.sampled_from([0.1, 6.0, 31.0]))
    def wait(self, seconds):
        self.now += seconds
        self.happen(TimePassed())
        return multiple()

    @rule()
    def restart(self):
        """The coordinator dies and starts again: connections are gone, its clock starts anew."""
        self.now = 0.0
        self.sessions_of.clear()
        self.scheduler = Scheduler(POLICY, self.database.snapshot(), self.now)
        for job_id in self.submitted - self.outcomes.keys():
            self.happen(JobWatched(job_id))

    @invariant()
    def outcomes_are_announced_once_and_are_what_the_database_holds(self):
        assert self.announced == self.outcomes
        for job_id in self.submitted:
            kept = self.database.find_job(job_id)
            assert kept is not None
            assert kept.outcome == self.outcomes.get(job_id)

    @invariant()
    def the_snapshot_is_the_present_state(self):
        snapshot = self.database.snapshot()
        assert {kept.job.job_id for kept in snapshot.jobs} == self.submitted - self.outcomes.keys()
        found = {
            kept.job.job_id: (kept.device_id, kept.token) for kept in snapshot.jobs if kept.token is not None
        }
        assert found == self.running
        assert snapshot.last_token == self.last_token

    @invariant()
    def busy_devices_are_those_with_a_lease(self):
        busy = {device.device_id for device in self.scheduler.devices(self.now) if device.state == "busy"}
        connected = {device_id_of(device) for device in self.sessions_of.values()}
        assert busy <= connected
        assert busy <= {device_id for device_id, _ in self.running.values()}

    def teardown(self):
        """Time ends every history: with nobody left, no job stays without an outcome."""
        for _ in range(6):
            self.now += 1000
            self.happen(TimePassed())
        assert self.outcomes.keys() == self.submitted
        assert self.scheduler.live_models() == set()
        self.database.close()
        self._folder.cleanup()


Histories.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestHistories = Histories.TestCase
