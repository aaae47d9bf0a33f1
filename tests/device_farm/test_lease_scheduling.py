"""The scheduler, event by event, and against its invariants under random histories."""

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from device_farm.jobs import (
    Cancelled,
    Failed,
    Infeasible,
    Job,
    Lease,
    NoDevice,
    Queued,
    Registration,
    Running,
    RunReport,
)
from device_farm.scheduling import (
    DropWorker,
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
)
from device_farm.types import Measurement, MeasurementSettings, Runtime, Target

POLICY = Policy(silence_seconds=10, lease_seconds=10, lease_margin_seconds=60, max_attempts=3)
SETTINGS = MeasurementSettings(warmup_invocations=0, min_invocations=6, max_invocations=6, timeout_seconds=30)


def job(job_id: str, **changes: object) -> Job:
    return replace(Job(job_id, "ab" * 32, Target(), SETTINGS), **changes)


def report(samples: tuple[float, ...] = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)) -> RunReport:
    return RunReport("ab" * 32, "tflite-2.14.0", "2.14.0", 1, "xnnpack", samples, (), samples, 1.0, {})


@pytest.fixture
def scheduler() -> Scheduler:
    return Scheduler(POLICY)


@pytest.fixture
def join(scheduler, make_registration):
    def joined(session: int, device_id: str = "d1", now: float = 0.0, **changes: object):
        return scheduler.handle(WorkerJoined(session, make_registration(device_id, **changes)), now)

    return joined


def test_a_job_is_leased_to_an_idle_device_and_its_report_ends_it(scheduler, join):
    join(1)
    assert scheduler.handle(JobSubmitted(job("a")), 0) == [
        UpdateJob("a", Queued("waiting for a device")),
        GrantLease(1, Lease(1, job("a"))),
        UpdateJob("a", Running("board-d1")),
    ]
    assert [device.state for device in scheduler.devices()] == ["busy"]
    (finish,) = scheduler.handle(ResultSeen(1, 1, report()), 1)
    assert isinstance(finish, FinishJob)
    assert isinstance(finish.outcome, Measurement)
    assert (finish.job_id, finish.outcome.latency_ms, finish.outcome.device_id) == ("a", 3.5, "d1")
    assert [device.state for device in scheduler.devices()] == ["idle"]


def test_jobs_go_by_priority_then_by_age(scheduler, join):
    for name, priority in (("old", 0), ("young", 0), ("urgent", 5)):
        scheduler.handle(JobSubmitted(job(name, priority=priority)), 0)
    join(1)
    order = []
    for token in (1, 2, 3):
        commands = scheduler.handle(ResultSeen(1, token, report()), 1)
        order += [command.job_id for command in commands if isinstance(command, FinishJob)]
    assert order == ["urgent", "old", "young"]


def test_a_job_goes_only_to_a_device_that_satisfies_its_target(scheduler, join):
    join(1, "d1", labels={"soc": "bcm2711"})
    join(2, "d2", labels={"soc": "bcm2712"})
    commands = scheduler.handle(JobSubmitted(job("a", target=Target({"soc": "bcm2712"}))), 0)
    assert GrantLease(2, Lease(1, job("a", target=Target({"soc": "bcm2712"})))) in commands


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (Target({"room": "lab"}), "label room is absent, wanted lab"),
        (Target({"soc": "x"}), "label soc is bcm2711, wanted x"),
        (Target(runtime="tflite-2.5.0"), "no runtime tflite-2.5.0"),
        (Target(threads=5), "5 threads wanted on 4 cores"),
    ],
)
def test_a_job_that_no_device_satisfies_ends_after_its_wait_saying_what_the_farm_has(
    scheduler, join, target, reason
):
    join(1)
    scheduler.handle(JobSubmitted(job("a", target=target, device_wait_seconds=5)), 100)
    beat = HeartbeatSeen(1, ())
    assert scheduler.handle(beat, 104) == []
    assert scheduler.handle(TimePassed(), 104.9) == []
    (finish,) = scheduler.handle(TimePassed(), 105)
    assert isinstance(finish.outcome, NoDevice)
    assert finish.outcome.message.endswith(f"within 5 s; the farm has board-d1 (raspberrypi-4b): {reason}")


def test_an_empty_farm_is_called_empty(scheduler):
    scheduler.handle(JobSubmitted(job("a", device_wait_seconds=0)), 0)
    (finish,) = scheduler.handle(TimePassed(), 0)
    assert finish.outcome.message.endswith("the farm has no device at all")


def test_a_busy_device_that_fits_is_waited_for_beyond_the_wait(scheduler, join):
    join(1)
    scheduler.handle(JobSubmitted(job("a")), 0)
    scheduler.handle(JobSubmitted(job("b", device_wait_seconds=1)), 0)
    scheduler.handle(HeartbeatSeen(1, (1,)), 9)
    assert scheduler.handle(TimePassed(), 9) == []


def test_a_device_that_joins_in_time_takes_the_waiting_job(scheduler, join):
    scheduler.handle(JobSubmitted(job("a", device_wait_seconds=5)), 0)
    assert GrantLease(1, Lease(1, job("a", device_wait_seconds=5))) in join(1, now=4.9)


def test_the_job_of_a_lost_worker_goes_to_another_device(scheduler, join):
    join(1, "d1")
    join(2, "d2")
    scheduler.handle(JobSubmitted(job("a")), 0)
    assert scheduler.handle(WorkerLeft(1, "the connection ended"), 1) == [
        UpdateJob("a", Queued("attempt 1 failed: worker board-d1 was lost: the connection ended")),
        GrantLease(2, Lease(2, job("a"))),
        UpdateJob("a", Running("board-d2")),
    ]
    assert scheduler.handle(ResultSeen(1, 1, report()), 2) == []  # late, from a connection that ended
    assert scheduler.handle(ResultSeen(2, 1, report()), 2) == []  # another lease's token
    (finish,) = scheduler.handle(ResultSeen(2, 2, report()), 2)
    assert finish.outcome.device_id == "d2"
    assert scheduler.handle(ResultSeen(2, 2, report()), 2) == []  # the same answer once more


def test_a_silent_worker_is_dropped_and_its_job_requeued(scheduler, join):
    join(1, now=0)
    scheduler.handle(JobSubmitted(job("a")), 0)
    assert scheduler.handle(TimePassed(), 10) == []
    commands = scheduler.handle(TimePassed(), 10.5)
    assert commands == [
        DropWorker(1, "silent for 10 s"),
        UpdateJob("a", Queued("no registered device satisfies 1 thread, delegate xnnpack yet")),
    ]
    assert [device.state for device in scheduler.devices()] == ["offline"]


def test_a_lease_that_the_heartbeats_leave_out_lapses(scheduler, join):
    join(1)
    scheduler.handle(JobSubmitted(job("a")), 0)
    scheduler.handle(HeartbeatSeen(1, ()), 8)
    assert scheduler.handle(TimePassed(), 10.5) == [
        RevokeLease(1, 1, "the lease expired"),
        UpdateJob("a", Queued("attempt 1 failed: the lease of board-d1 expired")),
        GrantLease(1, Lease(2, job("a"))),
        UpdateJob("a", Running("board-d1")),
    ]


def test_heartbeats_do_not_carry_a_lease_beyond_the_jobs_own_time(scheduler, join):
    join(1)
    scheduler.handle(JobSubmitted(job("a")), 0)
    for now in range(0, 91, 5):
        scheduler.handle(HeartbeatSeen(1, (1,)), now)
        assert not scheduler.handle(TimePassed(), now)
    assert RevokeLease(1, 1, "the lease expired") in scheduler.handle(TimePassed(), 90.5)  # 30 + 60 s


def test_a_heartbeat_with_a_token_of_the_past_is_answered_with_a_revocation(scheduler, join):
    join(1)
    assert scheduler.handle(HeartbeatSeen(1, (7,)), 1) == [RevokeLease(1, 7, "the lease is no longer valid")]


def test_a_job_fails_after_its_last_attempt_telling_why(scheduler, join):
    join(1)
    scheduler.handle(JobSubmitted(job("a")), 0)
    scheduler.handle(ResultSeen(1, 1, Failed("disk full")), 1)
    scheduler.handle(ResultSeen(1, 2, Failed("disk full")), 2)
    assert scheduler.handle(ResultSeen(1, 3, Failed("disk full")), 3) == [
        FinishJob("a", Failed("gave up after 3 attempts; the last one: board-d1: disk full"))
    ]


def test_a_failure_that_would_repeat_is_not_retried(scheduler, join):
    join(1)
    scheduler.handle(JobSubmitted(job("a")), 0)
    assert scheduler.handle(ResultSeen(1, 1, Failed("no delegate", retryable=False)), 1) == [
        FinishJob("a", Failed("board-d1: no delegate", retryable=False))
    ]


def test_an_infeasible_model_is_not_retried_and_names_where_it_failed(scheduler, join):
    join(1)
    scheduler.handle(JobSubmitted(job("a")), 0)
    assert scheduler.handle(ResultSeen(1, 1, Infeasible("unresolved custom op")), 1) == [
        FinishJob("a", Infeasible("tflite-2.14.0 on board-d1: unresolved custom op"))
    ]


def test_a_retry_prefers_a_device_that_has_not_tried(scheduler, join):
    join(1, "d1")
    scheduler.handle(JobSubmitted(job("a")), 0)
    join(2, "d2")
    commands = scheduler.handle(ResultSeen(1, 1, Failed("flaky")), 1)
    assert GrantLease(2, Lease(2, job("a"))) in commands


def test_a_nonsense_report_counts_as_a_failed_attempt(scheduler, join):
    join(1)
    scheduler.handle(JobSubmitted(job("a")), 0)
    commands = scheduler.handle(ResultSeen(1, 1, report((1.0, 2.0, 3.0, 4.0, 5.0, float("nan")))), 1)
    assert commands[0] == UpdateJob(
        "a", Queued("attempt 1 failed: worker board-d1 gave a wrong answer: samples_ms holds nan")
    )


def test_abandoning_a_running_job_revokes_its_lease(scheduler, join):
    join(1)
    scheduler.handle(JobSubmitted(job("a")), 0)
    scheduler.handle(JobSubmitted(job("b")), 0)
    assert scheduler.handle(JobAbandoned("a", "the client went away"), 1) == [
        RevokeLease(1, 1, "the client went away"),
        FinishJob("a", Cancelled("the client went away")),
        GrantLease(1, Lease(2, job("b"))),
        UpdateJob("b", Running("board-d1")),
    ]
    assert scheduler.handle(JobAbandoned("a", "again"), 2) == []


def test_a_device_that_connects_again_replaces_its_stale_connection(scheduler, join):
    join(1)
    scheduler.handle(JobSubmitted(job("a")), 0)
    commands = join(2, "d1", now=1)
    assert DropWorker(1, "device d1 connected again") in commands
    assert GrantLease(2, Lease(2, job("a"))) in commands
    assert scheduler.handle(WorkerLeft(1, "closed"), 2) == []  # the stale connection's end changes nothing
    assert [device.state for device in scheduler.devices()] == ["busy"]


def test_a_job_id_that_is_under_way_is_refused(scheduler):
    scheduler.handle(JobSubmitted(job("a")), 0)
    with pytest.raises(ValueError, match="job a is already under way"):
        scheduler.handle(JobSubmitted(job("a")), 1)


class Histories(RuleBasedStateMachine):
    """Random histories of workers, jobs, answers (true, false, late, forged) and time."""

    sessions = Bundle("sessions")
    jobs = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.scheduler = Scheduler(POLICY)
        self.now, self.last_session, self.last_job = 0.0, 0, 0
        self.running: dict[str, tuple[int, int]] = {}  # job -> session, token
        self.submitted: set[str] = set()
        self.finished: dict[str, int] = {}
        self.tokens: list[int] = []

    def happen(self, event) -> None:
        for command in self.scheduler.handle(event, self.now):
            match command:
                case GrantLease(session, lease):
                    assert lease.token > max(self.tokens, default=0)
                    assert session not in [held for held, _ in self.running.values()]
                    assert lease.job.job_id not in self.running
                    self.tokens.append(lease.token)
                    self.running[lease.job.job_id] = (session, lease.token)
                case UpdateJob(job_id, Queued()):
                    self.running.pop(job_id, None)
                case FinishJob(job_id):
                    self.running.pop(job_id, None)
                    self.finished[job_id] = self.finished.get(job_id, 0) + 1

    @rule(target=sessions, device=st.sampled_from("xyz"))
    def join(self, device):
        from_registration = self.registration(device)
        self.last_session += 1
        self.happen(WorkerJoined(self.last_session, from_registration))
        return self.last_session

    @staticmethod
    def registration(device):
        offered = (Runtime("tflite-2.14.0", "2.14.0", ("none", "xnnpack")),)
        return Registration(
            device, device, "board", {"kind": "odd" if device == "z" else "even"}, {}, offered
        )

    @rule(session=consumes(sessions))
    def leave(self, session):
        self.happen(WorkerLeft(session, "gone"))

    @rule(target=jobs, kind=st.sampled_from(["odd", "even", "absent", ""]), priority=st.integers(0, 2))
    def submit(self, kind, priority):
        self.last_job += 1
        job_id = f"j{self.last_job}"
        self.submitted.add(job_id)
        target = Target({"kind": kind} if kind else {})
        self.happen(JobSubmitted(job(job_id, target=target, priority=priority)))
        return job_id

    @rule(job_id=jobs)
    def abandon(self, job_id):
        self.happen(JobAbandoned(job_id, "changed my mind"))
        assert self.finished[job_id] == 1

    @rule(
        session=sessions,
        token=st.integers(1, 12),
        outcome=st.sampled_from(
            [report(), report(()), Infeasible("bad"), Failed("oops"), Failed("no", False)]
        ),
    )
    def answer(self, session, token, outcome):
        before = dict(self.finished)
        entitled = (session, token) in self.running.values()
        self.happen(ResultSeen(session, token, outcome))
        assert entitled or before == self.finished

    @rule(session=sessions, named=st.booleans())
    def beat(self, session, named):
        held = tuple(token for holder, token in self.running.values() if holder == session)
        self.happen(HeartbeatSeen(session, held if named else ()))

    @rule(target=jobs, seconds=st.sampled_from([0.1, 6.0, 20.0]))
    def wait(self, seconds):
        self.now += seconds
        self.happen(TimePassed())
        return multiple()

    @invariant()
    def every_job_ends_at_most_once(self):
        assert set(self.finished.values()) <= {1}
        assert self.finished.keys() <= self.submitted

    @invariant()
    def states_agree_with_the_leases_granted(self):
        busy = sum(device.state == "busy" for device in self.scheduler.devices())
        assert busy == len(self.running)

    def teardown(self):
        """Time ends every history: with nobody left, no job stays without an outcome."""
        for _ in range(3):
            self.now += 1000
            self.happen(TimePassed())
        assert self.finished.keys() == self.submitted
        assert self.scheduler.live_models() == set()


Histories.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestHistories = Histories.TestCase
