"""The scheduler, event by event."""

import pytest
from farm_reports import introduction, job, report

from device_farm.coordinator.events import (
    Decision,
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
    UpdateJob,
    WorkerJoined,
    WorkerLeft,
)
from device_farm.coordinator.policy import Policy
from device_farm.coordinator.records import (
    AnswersTainted,
    AttemptEnded,
    DeviceForgotten,
    DeviceKnown,
    JobAccepted,
    JobEnded,
    LeaseGranted,
)
from device_farm.coordinator.scheduling import Scheduler
from device_farm.jobs import (
    Acknowledgement,
    Cancelled,
    DeviceOrder,
    Failed,
    Infeasible,
    Lease,
    NoDevice,
    Queued,
    Revocation,
    Running,
    Welcome,
    device_id_of,
)
from device_farm.types import Measurement, NoSuchDevice, OrderRefused, Target

POLICY = Policy(
    silence_seconds=10,
    lease_seconds=10,
    lease_margin_seconds=60,
    max_failures=3,
    max_losses=4,
    orphan_seconds=60,
)
D1, D2 = device_id_of("d1"), device_id_of("d2")


class Farm:
    """A scheduler under test, with a clock that tests set."""

    def __init__(self) -> None:
        self.scheduler = Scheduler(POLICY)
        self.now = 0.0

    def happens(self, event) -> Decision:
        return self.scheduler.handle(event, self.now)

    def join(self, session: int, key: str = "d1", incarnation: str = "i1", held=(), **changes) -> Decision:
        return self.happens(WorkerJoined(session, introduction(key, incarnation, held, **changes)))

    def submit(self, job_id: str = "a", **changes) -> Decision:
        decision = self.happens(JobSubmitted(job(job_id, **changes)))
        self.happens(JobWatched(job_id))
        return decision

    def standings(self) -> dict[str, tuple[str, str]]:
        return {device.name: (device.state, device.standing) for device in self.scheduler.devices(self.now)}


@pytest.fixture
def farm() -> Farm:
    return Farm()


def leases(decision: Decision) -> list[tuple[int, int, str]]:
    """The (session, token, job) of each lease that is sent."""
    return [
        (command.session, command.message.token, command.message.job.job_id)
        for command in decision.commands
        if isinstance(command, Send) and isinstance(command.message, Lease)
    ]


def outcomes(decision: Decision) -> dict[str, object]:
    return {
        command.job.job_id: command.outcome for command in decision.commands if isinstance(command, FinishJob)
    }


def test_a_device_that_joins_is_welcomed_and_remembered(farm):
    decision = farm.join(1)
    assert decision.commands == (Send(1, Welcome(3.0, 10)),)
    known = decision.records[-1]
    assert isinstance(known, DeviceKnown)
    assert (known.registration.name, known.standing) == ("board-d1", "active")
    assert known.baselines_ms == {"tflite-2.14.0/xnnpack": 1.0}


def test_a_job_is_leased_to_an_idle_device_and_its_report_ends_it(farm):
    farm.join(1)
    submitted = farm.happens(JobSubmitted(job("a")))
    assert submitted.records == (JobAccepted(job("a"), 1), LeaseGranted("a", 1, D1, "board-d1"))
    assert submitted.commands == (Send(1, Lease(1, job("a"))),)
    assert farm.happens(JobWatched("a")).commands == (UpdateJob("a", Running("board-d1")),)
    assert farm.standings() == {"board-d1": ("busy", "active")}
    ended = farm.happens(ResultSeen(1, 1, report()))
    (record,) = ended.records
    acknowledged, finished = ended.commands
    assert acknowledged == Send(1, Acknowledgement(1))
    assert isinstance(finished.outcome, Measurement)
    assert (finished.outcome.latency_ms, finished.outcome.device_id) == (3.5, D1)
    assert record == JobEnded("a", finished.outcome, D1)
    assert farm.standings() == {"board-d1": ("idle", "active")}


def test_an_earlier_answer_ends_a_job_without_a_device(farm):
    farm.join(1)
    farm.submit("a")
    (answer,) = outcomes(farm.happens(ResultSeen(1, 1, report()))).values()
    decision = farm.happens(JobSubmitted(job("b"), answer))
    assert decision.records == (JobAccepted(job("b"), 2), JobEnded("b", answer))
    assert decision.commands == (FinishJob(job("b"), answer),)


def test_jobs_go_by_priority_then_by_age(farm):
    for name, priority in (("old", 0), ("young", 0), ("urgent", 5)):
        farm.submit(name, priority=priority)
    assert leases(farm.join(1)) == [(1, 1, "urgent")]
    assert leases(farm.happens(ResultSeen(1, 1, report()))) == [(1, 2, "old")]
    assert leases(farm.happens(ResultSeen(1, 2, report()))) == [(1, 3, "young")]


def test_an_urgent_job_for_one_kind_of_device_does_not_wait_behind_another_kinds(farm):
    farm.submit("other", target=Target({"soc": "bcm2712"}), priority=9)
    farm.submit("mine")
    assert leases(farm.join(1)) == [(1, 1, "mine")]


def test_a_job_goes_only_to_a_device_that_satisfies_its_target(farm):
    farm.join(1, "d1", labels={"soc": "bcm2711"})
    farm.join(2, "d2", labels={"soc": "bcm2712"})
    assert leases(farm.submit("a", target=Target({"soc": "bcm2712"}))) == [(2, 1, "a")]


def test_the_device_that_rested_longest_gets_the_next_job(farm):
    farm.join(1, "d1")
    farm.join(2, "d2")
    farm.submit("a")
    farm.happens(ResultSeen(1, 1, report()))
    assert leases(farm.submit("b")) == [(2, 2, "b")]


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (Target({"room": "lab"}), "label room is absent, wanted lab"),
        (Target({"soc": "x"}), "label soc is bcm2711, wanted x"),
        (Target(runtime="tflite-2.5.0"), "no runtime tflite-2.5.0"),
        (Target(threads=5), "5 threads wanted on 4 cores"),
    ],
)
def test_a_job_that_no_device_satisfies_ends_after_its_wait_saying_what_the_farm_has(farm, target, reason):
    farm.join(1)
    farm.submit(target=target)
    farm.now = 4.9
    assert farm.happens(TimePassed()) == Decision((), ())
    farm.now = 5.0
    (outcome,) = outcomes(farm.happens(TimePassed())).values()
    assert isinstance(outcome, NoDevice)
    assert outcome.message.endswith(f"within 5 s; the farm has board-d1 (raspberrypi-4b): {reason}")


def test_an_empty_farm_is_called_empty(farm):
    farm.submit(device_wait_seconds=0.0)
    (outcome,) = outcomes(farm.happens(TimePassed())).values()
    assert outcome.message.endswith("the farm has no device at all")


def test_a_busy_device_that_fits_is_waited_for_beyond_the_wait(farm):
    farm.join(1)
    farm.submit("a")
    farm.submit("b", device_wait_seconds=1.0)
    farm.now = 9
    farm.happens(HeartbeatSeen(1, (1,)))
    assert farm.happens(TimePassed()) == Decision((), ())


def test_a_device_that_is_away_is_waited_for_as_long_as_it_may_come_back(farm):
    farm.join(1)
    farm.happens(WorkerLeft(1))
    farm.submit(device_wait_seconds=0.0)
    farm.now = 10
    assert farm.happens(TimePassed()) == Decision((), ())
    farm.now = 10.5
    (outcome,) = outcomes(farm.happens(TimePassed())).values()
    assert outcome.message.endswith("board-d1 (raspberrypi-4b): offline")


def test_a_lost_workers_job_goes_to_another_device_when_its_lease_lapses(farm):
    farm.join(1, "d1")
    farm.join(2, "d2")
    farm.submit("a")
    assert farm.happens(WorkerLeft(1)) == Decision((), ())
    farm.now = 9
    farm.happens(HeartbeatSeen(2, ()))
    farm.now = 10.5
    decision = farm.happens(TimePassed())
    assert decision.records == (
        AttemptEnded("a", 1, "loss", "board-d1 was lost: the lease expired"),
        LeaseGranted("a", 2, D2, "board-d2"),
    )
    assert leases(decision) == [(2, 2, "a")]
    assert farm.happens(ResultSeen(1, 1, report())) == Decision((), ())  # from a connection that ended
    farm.join(3, "d1", held=(1,))
    late = farm.happens(ResultSeen(3, 1, report()))
    assert late == Decision((), (Send(3, Acknowledgement(1)),))
    (outcome,) = outcomes(farm.happens(ResultSeen(2, 2, report()))).values()
    assert outcome.device_id == D2
    assert farm.happens(ResultSeen(2, 2, report())) == Decision((), (Send(2, Acknowledgement(2)),))


def test_a_worker_that_comes_back_in_time_keeps_its_lease(farm):
    farm.join(1)
    farm.submit("a")
    farm.happens(WorkerLeft(1))
    farm.now = 9
    decision = farm.join(2, held=(1,))
    assert decision.commands == (Send(2, Welcome(3.0, 10)),)
    farm.now = 18
    assert farm.happens(TimePassed()) == Decision((), ())
    assert outcomes(farm.happens(ResultSeen(2, 1, report())))["a"].latency_ms == 3.5


def test_a_worker_that_comes_back_without_the_job_gets_it_anew(farm):
    farm.join(1)
    farm.submit("a")
    farm.happens(WorkerLeft(1))
    decision = farm.join(2, incarnation="i2")
    assert AttemptEnded("a", 1, "loss", "the worker of board-d1 lost the job") in decision.records
    assert leases(decision) == [(2, 2, "a")]


def test_the_same_process_on_a_new_connection_replaces_the_old_one(farm):
    farm.join(1)
    farm.submit("a")
    decision = farm.join(2, held=(1,))
    assert decision.commands == (DropWorker(1, "it connected again"), Send(2, Welcome(3.0, 10)))
    assert farm.happens(WorkerLeft(1)) == Decision((), ())
    assert farm.standings() == {"board-d1": ("busy", "active")}


def test_a_second_process_with_the_same_identity_is_refused_while_the_first_is_alive(farm):
    farm.join(1)
    refusal = DropWorker(2, f"another process is connected for device board-d1 ({D1[:8]})", "ALREADY_EXISTS")
    assert farm.join(2, incarnation="clone") == Decision((), (refusal,))
    assert farm.happens(ResultSeen(2, 1, report())) == Decision((), ())
    farm.happens(WorkerLeft(1))
    assert farm.join(3, incarnation="clone").commands == (Send(3, Welcome(3.0, 10)),)


def test_a_silent_worker_is_disconnected_and_its_job_queued_again(farm):
    farm.join(1)
    farm.submit("a")
    farm.now = 10
    assert farm.happens(TimePassed()) == Decision((), ())
    farm.now = 10.5
    decision = farm.happens(TimePassed())
    assert decision.commands[0] == DropWorker(1, "silent for 10 s", "UNAVAILABLE")
    assert decision.records == (AttemptEnded("a", 1, "loss", "board-d1 was lost: the lease expired"),)
    assert farm.standings() == {"board-d1": ("offline", "active")}


def test_a_lease_that_the_heartbeats_leave_out_lapses(farm):
    farm.join(1)
    farm.submit("a")
    farm.now = 8
    farm.happens(HeartbeatSeen(1, ()))
    farm.now = 10.5
    decision = farm.happens(TimePassed())
    assert decision.commands == (
        Send(1, Revocation(1, "the lease expired")),
        UpdateJob("a", Queued("board-d1 was lost: the lease expired")),
        Send(1, Lease(2, job("a"))),
        UpdateJob("a", Running("board-d1")),
    )


def test_heartbeats_do_not_carry_a_lease_beyond_the_jobs_own_time(farm):
    farm.join(1)
    farm.submit("a")
    for now in range(0, 91, 5):
        farm.now = now
        farm.happens(HeartbeatSeen(1, (1,)))
        assert farm.happens(TimePassed()) == Decision((), ())
    farm.now = 90.5  # 30 + 60 s
    decision = farm.happens(TimePassed())
    assert decision.records[0] == AttemptEnded("a", 1, "failure", "board-d1 did not answer in the job's time")


def test_a_heartbeat_with_a_token_of_the_past_is_answered_with_a_revocation(farm):
    farm.join(1)
    decision = farm.happens(HeartbeatSeen(1, (7,)))
    assert decision.commands == (Send(1, Revocation(7, "the lease is no longer valid")),)


def test_a_job_fails_after_its_last_attempt_telling_why(farm):
    farm.join(1)
    farm.submit("a")
    for token in (1, 2):
        assert outcomes(farm.happens(ResultSeen(1, token, Failed("disk full")))) == {}
    assert outcomes(farm.happens(ResultSeen(1, 3, Failed("disk full")))) == {
        "a": Failed("gave up after 3 attempts; the last one: board-d1: disk full")
    }


def test_a_job_that_costs_one_device_after_the_other_is_given_up(farm):
    farm.submit("a")
    for session in range(1, 5):
        farm.join(session, incarnation=f"i{session}")
        farm.happens(WorkerLeft(session))
    (outcome,) = outcomes(farm.join(5, incarnation="i5")).values()
    assert outcome == Failed("gave up after 4 attempts; the last one: the worker of board-d1 lost the job")


def test_a_failure_that_would_repeat_is_not_retried(farm):
    farm.join(1)
    farm.submit("a")
    decision = farm.happens(ResultSeen(1, 1, Failed("no delegate", retryable=False)))
    assert outcomes(decision) == {"a": Failed("board-d1: no delegate", retryable=False)}


def test_an_infeasible_model_is_not_retried_and_names_where_it_failed(farm):
    farm.join(1)
    farm.submit("a")
    decision = farm.happens(ResultSeen(1, 1, Infeasible("unresolved custom op")))
    assert outcomes(decision) == {"a": Infeasible("tflite-2.14.0 on board-d1: unresolved custom op")}


def test_a_retry_prefers_a_device_that_has_not_tried(farm):
    farm.join(1, "d1")
    farm.submit("a")
    farm.join(2, "d2")
    assert leases(farm.happens(ResultSeen(1, 1, Failed("flaky")))) == [(2, 2, "a")]


def test_a_nonsense_report_counts_as_a_failed_attempt(farm):
    farm.join(1)
    farm.submit("a")
    nonsense = report((1.0, 2.0, 3.0, 4.0, 5.0, float("nan")))
    decision = farm.happens(ResultSeen(1, 1, nonsense))
    reason = "board-d1 gave a wrong answer: samples_ms holds nan"
    assert decision.records[0] == AttemptEnded("a", 1, "failure", reason)


def test_an_invalid_measurement_is_repeated_after_a_cooldown_and_never_returned(farm):
    farm.join(1, profile="rpi4")
    farm.submit("a")
    hot = report(evidence={"throttled_now": True, "throttled": "0x4"})
    decision = farm.happens(ResultSeen(1, 1, hot))
    assert outcomes(decision) == {}
    (ended,) = (record for record in decision.records if isinstance(record, AttemptEnded))
    assert (ended.ending, ended.reason.startswith("invalid on board-d1: ")) == ("invalid", True)
    assert farm.standings() == {"board-d1": ("cooling", "active")}
    farm.now = 9
    farm.happens(HeartbeatSeen(1, ()))
    assert farm.happens(TimePassed()) == Decision((), ())
    for farm.now in (18, 27, 30):
        farm.happens(HeartbeatSeen(1, ()))
    assert leases(farm.happens(TimePassed())) == [(1, 2, "a")]
    assert outcomes(farm.happens(ResultSeen(1, 2, report())))["a"].latency_ms == 3.5


def test_a_drifting_device_is_quarantined_and_its_jobs_are_measured_elsewhere(farm):
    farm.join(1, "d1", profile="rpi4")
    farm.submit("a", device_wait_seconds=1000.0)
    slow = report(reference_before_ms=(2.0,), reference_after_ms=(2.0,))
    tainted = []
    for token in (1, 2, 3):
        decision = farm.happens(ResultSeen(1, token, slow))
        tainted += [record for record in decision.records if isinstance(record, AnswersTainted)]
        for _ in range(6):
            farm.now += 6
            farm.happens(HeartbeatSeen(1, ()))
            farm.happens(TimePassed())
    assert farm.standings() == {"board-d1": ("idle", "quarantined")}
    assert [(record.device_id, set(record.job_ids)) for record in tainted] == [(D1, {"a"})]
    assert leases(farm.join(2, "d2")) == [(2, 4, "a")]


def test_cancelling_a_running_job_revokes_its_lease(farm):
    farm.join(1)
    farm.submit("a")
    farm.submit("b")
    decision = farm.happens(JobCancelled("a", "changed my mind"))
    assert decision.commands == (
        Send(1, Revocation(1, "changed my mind")),
        FinishJob(job("a"), Cancelled("changed my mind")),
        Send(1, Lease(2, job("b"))),
        UpdateJob("b", Running("board-d1")),
    )
    assert farm.happens(JobCancelled("a", "again")) == Decision((), ())


def test_a_job_that_nobody_waits_for_is_cancelled_unless_it_is_detached(farm):
    farm.submit("watched", device_wait_seconds=1000.0)
    farm.submit("left", device_wait_seconds=1000.0)
    farm.submit("detached", device_wait_seconds=1000.0, detached=True)
    for job_id in ("left", "detached"):
        farm.happens(JobUnwatched(job_id))
    farm.now = 60
    assert farm.happens(TimePassed()) == Decision((), ())
    farm.now = 60.5
    decision = farm.happens(TimePassed())
    assert outcomes(decision) == {"left": Cancelled("nobody waits for it any longer")}


def test_a_client_that_comes_back_keeps_its_job(farm):
    farm.submit("a", device_wait_seconds=1000.0)
    farm.happens(JobUnwatched("a"))
    farm.now = 59
    farm.happens(JobWatched("a"))
    farm.now = 500
    assert farm.happens(TimePassed()) == Decision((), ())


def test_a_draining_device_ends_its_job_and_takes_no_other(farm):
    farm.join(1)
    farm.submit("a")
    farm.submit("b")
    farm.happens(DeviceOrdered(D1, DeviceOrder("board-d1", "drain", "new fan")))
    assert farm.standings() == {"board-d1": ("busy", "draining")}
    assert leases(farm.happens(ResultSeen(1, 1, report()))) == []
    assert farm.standings() == {"board-d1": ("idle", "draining")}
    assert leases(farm.happens(DeviceOrdered(D1, DeviceOrder("board-d1", "resume")))) == [(1, 2, "b")]


def test_a_quarantined_device_loses_its_job_at_once(farm):
    farm.join(1, "d1")
    farm.submit("a")
    farm.join(2, "d2")
    decision = farm.happens(DeviceOrdered(D1, DeviceOrder("board-d1", "quarantine", "odd")))
    assert Send(1, Revocation(1, "the device was quarantined")) in decision.commands
    assert leases(decision) == [(2, 2, "a")]


def test_only_quarantined_devices_are_no_devices(farm):
    farm.join(1)
    farm.happens(DeviceOrdered(D1, DeviceOrder("board-d1", "quarantine", "odd")))
    farm.submit(device_wait_seconds=0.0)
    (outcome,) = outcomes(farm.happens(TimePassed())).values()
    assert outcome.message.endswith("board-d1 (raspberrypi-4b): quarantined (odd)")


def test_a_standing_outlives_the_workers_restart(farm):
    farm.join(1)
    farm.happens(DeviceOrdered(D1, DeviceOrder("board-d1", "drain", "")))
    farm.happens(WorkerLeft(1))
    farm.submit("a")
    assert leases(farm.join(2, incarnation="i2")) == []


def test_recalibrating_takes_new_baselines_from_the_next_run(farm):
    farm.join(1)
    farm.happens(DeviceOrdered(D1, DeviceOrder("board-d1", "resume", recalibrate=True)))
    farm.submit("a")
    slow = report(reference_before_ms=(30.0,), reference_after_ms=(30.0,))
    assert outcomes(farm.happens(ResultSeen(1, 1, slow)))["a"].latency_ms == 3.5
    (device,) = farm.scheduler.devices(0)
    assert device.references["tflite-2.14.0/xnnpack"].baseline_ms == 30.0


def test_a_device_is_removed_once_it_is_offline(farm):
    farm.join(1)
    order = DeviceOrder("board-d1", "remove")
    with pytest.raises(OrderRefused, match="board-d1 is connected: stop its worker first"):
        farm.scheduler.check_order(order)
    farm.happens(WorkerLeft(1))
    assert farm.scheduler.check_order(order) == D1
    assert farm.happens(DeviceOrdered(D1, order)).records == (DeviceForgotten(D1),)
    assert farm.standings() == {}


def test_devices_are_named_by_name_or_id_or_its_beginning(farm):
    farm.join(1, "d1")
    farm.join(2, "d2")
    for name in ("board-d1", D1, D1[:6]):
        assert farm.scheduler.check_order(DeviceOrder(name, "drain")) == D1
    known = f"the farm has board-d1 ({D1[:8]}), board-d2 ({D2[:8]})"
    for name in ("board", ""):
        with pytest.raises(NoSuchDevice) as caught:
            farm.scheduler.check_order(DeviceOrder(name, "drain"))
        assert str(caught.value) == f"no device is called {name!r}; {known}"
    farm.join(3, "d3", name="board-d1")
    with pytest.raises(NoSuchDevice, match="several devices are called 'board-d1'"):
        farm.scheduler.check_order(DeviceOrder("board-d1", "drain"))


def test_a_devices_scale_is_its_baseline_over_the_median_of_its_class(farm):
    for session, (key, time_ms) in enumerate([("d1", 1.0), ("d2", 2.0), ("d3", 4.0)]):
        farm.join(session, key, references_ms={"tflite-2.14.0/xnnpack": (time_ms,)})
    scales = [device.references["tflite-2.14.0/xnnpack"].scale for device in farm.scheduler.devices(0)]
    assert scales == [0.5, 1.0, 2.0]


def test_a_job_id_that_is_under_way_is_refused(farm):
    farm.submit("a")
    with pytest.raises(ValueError, match="job a is already under way"):
        farm.happens(JobSubmitted(job("a")))
