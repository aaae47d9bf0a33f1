"""Two sweeps side by side: what differs, what it means for their scores, and who was ahead at equal cost."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_sweep import admitted, as_records, completed, every_ending, measurement, started, trained

from sweep.lifecycle import Event
from sweep.lifecycle.events import EpochTrained, FinalistMeasured, SweepStarted, TrialAdmitted, TrialCompleted
from sweep.report.compare import CommonNetwork, Comparison, Milestone, compare, comparison_json
from sweep.report.compare_view import comparison_view


def begin(**identity: object) -> SweepStarted:
    first = started()
    return replace(first, identity={**first.identity, **identity})


def sweep_with(*trials: tuple[float, float, float], **identity: object) -> list[Event]:
    """A sweep whose trials, each (si-RMSE, latency, score), trained to full fidelity and were completed."""
    events: list[Event] = [begin(**identity)]
    for trial, (si_rmse, latency_ms, score) in enumerate(trials):
        epochs = int(events[0].identity["max_epochs"])
        events += [*trained(trial, epochs), completed(trial, si_rmse, latency_ms, score)]
    return events


def compared(first: list[Event], second: list[Event]) -> Comparison:
    return compare(("a", as_records(first)), ("b", as_records(second)))


def differing(comparison: Comparison) -> dict[str, tuple[str, str]]:
    return {part.what: (part.first, part.second) for part in comparison.identity if part.differs}


@pytest.mark.parametrize(
    ("identity", "differences", "comparable"),
    [
        ({}, {}, True),
        ({"space": "unet"}, {"space": ("mobilenetv3", "unet")}, True),
        ({"max_epochs": 9}, {"epochs": ("4", "9")}, True),
        ({"test_data": "demo-test"}, {"test data": ("-", "demo-test")}, True),
        ({"data": "kitchen"}, {"data": ("demo-1", "kitchen")}, False),
        ({"data_fingerprint": "f00"}, {"data": ("demo-1", "demo-1 (f00)")}, False),
        ({"latency": "estimated"}, {"latency": ("measured", "estimated")}, False),
        ({"target": {"device_class": "pi", "threads": 4}}, None, False),
    ],
)
def test_target_data_and_kind_of_latency_decide_whether_scores_compare(
    identity, differences, comparable
) -> None:
    found = compared(sweep_with((0.3, 10.0, 400.0)), sweep_with((0.3, 10.0, 500.0), **identity))
    assert found.comparable is comparable
    assert found.better == ("b" if comparable else None)
    if differences is not None:
        assert differing(found) == differences


def test_each_part_of_the_target_is_named_by_itself() -> None:
    target = {
        **started().identity["target"],
        "threads": 4,
        "emulated": True,
        "labels": {"rack": "2", "os": "x"},
    }
    found = compared(sweep_with(), sweep_with(target=target))
    assert differing(found) == {
        "emulated": ("no", "yes"),
        "threads": ("1", "4"),
        "labels": ("-", "os=x, rack=2"),
    }


def test_incomparable_sweeps_show_both_scores_and_none_as_better(show) -> None:
    found = compared(sweep_with((0.3, 10.0, 400.0)), sweep_with((0.3, 10.0, 500.0), data="kitchen"))
    text = show(comparison_view(found))
    assert "Scores do NOT compare: data differs.\n" in text
    assert "best Final Score  400.0  500.0\n" in text
    assert "ahead" not in text
    assert "best so far" not in text
    assert (found.tie, found.better) == (False, None)


def test_whole_sweeps_are_compared_in_counts_costs_and_the_best_of_each() -> None:
    found = compared(list(every_ending()), sweep_with((0.25, 10.0, 800.0)))
    first, second = found.first, found.second
    assert {state: amount for state, amount in first.counts.items() if amount} == {
        "proposed": 1,
        "training": 1,
        "complete": 2,
        "pruned": 1,
        "infeasible": 1,
        "failed": 1,
    }
    assert (first.epochs, first.training_s) == (11, 11 * 9.25)
    assert [(best.trial, best.final_score, best.si_rmse, best.latency_ms) for best in first.top] == [
        (1, 671.8, 0.3125, 12.5),
        (0, 353.6, 0.375, 10.0),
    ]
    assert (second.best, found.better) == (800.0, "b")


def test_only_the_best_five_are_listed() -> None:
    found = compared(sweep_with(*((0.3, 10.0, 100.0 + trial) for trial in range(7))), sweep_with())
    assert [best.trial for best in found.first.top] == [6, 5, 4, 3, 2]
    assert (found.second.top, found.second.best, found.better) == ((), None, "a")


def test_best_so_far_is_read_at_quarters_of_the_smaller_spending() -> None:
    epoch_s = 9.25
    first = sweep_with((0.3, 10.0, 100.0), (0.3, 10.0, 300.0), (0.3, 10.0, 200.0), (0.3, 10.0, 900.0))
    second = sweep_with((0.3, 10.0, 250.0), (0.3, 10.0, 150.0))
    assert compared(first, second).milestones == (
        Milestone(0.25, 2 * epoch_s, None, None),
        Milestone(0.5, 4 * epoch_s, 100.0, 250.0),
        Milestone(0.75, 6 * epoch_s, 100.0, 250.0),
        Milestone(1.0, 8 * epoch_s, 300.0, 250.0),
    )


@st.composite
def costly_sweeps(draw: st.DrawFn) -> list[tuple[float, float]]:
    """Trials as (seconds of each of the four epochs, score)."""
    return draw(st.lists(st.tuples(st.integers(1, 50).map(float), st.floats(0.1, 1e4)), max_size=6))


def with_costs(trials: list[tuple[float, float]]) -> Iterator[Event]:
    yield begin()
    for number, (seconds, score) in enumerate(trials):
        for event in trained(number, 4):
            yield replace(event, seconds=seconds) if isinstance(event, EpochTrained) else event
        yield completed(number, 0.3, 10.0, score)


@given(costly_sweeps(), costly_sweeps())
def test_milestones_agree_with_adding_up_trial_by_trial(first, second) -> None:
    budget = min(sum(4 * seconds for seconds, _ in trials) for trials in (first, second))

    def best_by(trials: list[tuple[float, float]], limit: float) -> float | None:
        affordable = [
            score
            for number, (_, score) in enumerate(trials)
            if math.fsum(4 * seconds for seconds, _ in trials[: number + 1]) <= limit
        ]
        return max(affordable, default=None)

    found = compared(list(with_costs(first)), list(with_costs(second)))
    assert [(milestone.first, milestone.second) for milestone in found.milestones] == [
        (best_by(first, share * budget), best_by(second, share * budget)) for share in (0.25, 0.5, 0.75, 1.0)
    ]


def test_rounds_of_finalists_compare_within_a_sweep_only() -> None:
    rounds = [FinalistMeasured(0, number, 20.0, measurement(20.0)) for number in (1, 2, 3)]
    found = compared([*sweep_with((0.3, 10.0, 400.0)), *rounds], sweep_with((0.3, 10.0, 300.0)))
    best = found.first.top[0]
    assert (best.final_score, best.latency_ms, found.better) == (400.0, 10.0, "a")
    assert best.score_interval == pytest.approx((400.0 * 10 / 10.25, 400.0 * 10 / 9.5))
    assert found.milestones[-1] == Milestone(1.0, 37.0, 400.0, 300.0)


@pytest.mark.parametrize(("other", "tie"), [(405.0, True), (500.0, False)])
def test_overlapping_intervals_of_the_best_are_called_a_tie(show, other: float, tie: bool) -> None:
    found = compared(sweep_with((0.3, 10.0, 400.0)), sweep_with((0.3, 10.0, other)))
    assert found.first.top[0].score_interval == pytest.approx((400.0 * 10 / 10.25, 400.0 * 10 / 9.5))
    assert found.tie is tie
    text = show(comparison_view(found))
    assert f"b is ahead: {other:.1f}, {other / 400 - 1:.1%} above a.\n" in text
    assert ("A tie: " in text) is tie


def test_a_drifting_best_without_an_interval_is_no_tie() -> None:
    drifting = sweep_with((0.3, 10.0, 400.0))
    drifting[-1] = replace(drifting[-1], measurement={}) if isinstance(drifting[-1], TrialCompleted) else None
    found = compared(drifting, sweep_with((0.3, 10.0, 400.0)))
    assert (found.first.top[0].score_interval, found.tie, found.better) == (None, False, None)


def test_networks_measured_by_both_tell_how_their_latencies_agree(show) -> None:
    first = [begin(), *admitted(0), *admitted(1), *admitted(2)]
    slower = [
        replace(event, latency_ms=event.latency_ms * 1.2, measurement={"interval_ms": [11.0, 12.0]})
        if isinstance(event, TrialAdmitted)
        else event
        for event in admitted(0)
    ]
    shared = TrialAdmitted(3, 99.0, measurement(99.0), {}, shared_with=0)
    proposal = replace(next(admitted(3)), architecture_hash=next(admitted(1)).architecture_hash)
    second = [begin(), *slower, *admitted(1), *admitted(2), proposal, shared]
    found = compared(first, second)
    assert found.common == (
        CommonNetwork(f"{256:016x}", 0, 0, 9.5, pytest.approx(11.4), False),
        CommonNetwork(f"{257:016x}", 1, 1, 10.5, 10.5, True),
        CommonNetwork(f"{258:016x}", 2, 2, 11.5, 11.5, True),
    )
    assert found.median_ratio == 1.0
    text = " ".join(show(comparison_view(found)).split())
    assert "3 networks in common: ratio 1.000 in the median, 1.000 to 1.200; 1 with intervals apart" in text


def test_a_lead_smaller_than_what_the_devices_drifted_is_said_to_be(show) -> None:
    first, second = sweep_with((0.3, 10.0, 400.0)), sweep_with((0.3, 10.0, 440.0))
    drifted = [
        replace(event, latency_ms=event.latency_ms * 1.3) if isinstance(event, TrialAdmitted) else event
        for event in second
    ]
    calm, moved = (show(comparison_view(compared(first, events))) for events in (second, drifted))
    warning = "Networks measured by both differ in latency by as much"
    assert (warning in calm, warning in moved) == (False, True)


def test_the_json_holds_what_the_tables_show() -> None:
    found = compared(list(every_ending()), sweep_with((0.25, 10.0, 800.0)))
    plain = json.loads(json.dumps(comparison_json(found)))
    assert (plain["comparable"], plain["better"], plain["tie"]) == (True, "b", False)
    assert plain["first"]["best"] == 671.8
    assert plain["second"]["top"][0]["final_score"] == 800.0
    assert [milestone["share"] for milestone in plain["milestones"]] == [0.25, 0.5, 0.75, 1.0]
    assert [network["ratio"] for network in plain["common"]] == [1.0]
    assert plain["median_ratio"] == 1.0
    assert {part["what"]: part["differs"] for part in plain["identity"]}["data"] is False


def test_a_sweep_that_never_started_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match=r"^sweep b never started: there is nothing to compare$"):
        compared(sweep_with(), [])


def test_every_line_fits_a_terminal_of_eighty_columns(show) -> None:
    found = compared(
        list(every_ending()), sweep_with((0.25, 10.0, 800.0), data_fingerprint="0123456789abcdef")
    )
    assert max(map(len, show(comparison_view(found), width=80).splitlines())) <= 80
