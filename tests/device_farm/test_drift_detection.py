"""Drift of a device by its reference model: strays, lasting shifts, and how rarely noise looks like one."""

import math
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_farm.measuring.drift import Bracket, DriftState, Verdict, advance, scale, tainted
from device_farm.measuring.profiles import PROFILES

RPI4, GENERIC = PROFILES["rpi4"], PROFILES["generic"]
BASELINE_MS = 4.0
TYPICAL_NOISE = 0.0075  # standard deviation of a bracket's log-ratio, as the module states
ratios = st.floats(0.5, 2.0)


def bracket(before: float, after: float | None = None) -> Bracket:
    return Bracket(BASELINE_MS * before, BASELINE_MS * (before if after is None else after))


def follow(brackets: Iterable[Bracket], profile=RPI4) -> list[Verdict]:
    state, found = DriftState(), []
    for entry in brackets:
        state, verdict = advance(state, entry, BASELINE_MS, profile)
        found.append(verdict)
    return found


def test_a_bracket_near_the_baseline_is_clean():
    for before, after in [(1.0, 1.0), (1.029, 0.972), (1.03, 1 / 1.03)]:
        assert tainted(bracket(before, after), BASELINE_MS, 0.03) is None


def test_a_stray_bracket_says_when_and_by_how_much():
    slow_after = tainted(bracket(1.0, 1.2), BASELINE_MS, 0.03)
    assert slow_after == (
        "the reference model took 1.200 times its baseline after the job"
        " (baseline 4.000 ms, allowed 0.971 to 1.030)"
    )
    both = tainted(bracket(0.9, 1.2), BASELINE_MS, 0.03)
    assert "0.900 times its baseline before the job and 1.200 times its baseline after the job" in both


@given(before=ratios, after=ratios, tolerance=st.floats(0.01, 0.9))
def test_slower_and_faster_are_judged_alike(before, after, tolerance):
    edges = (1 / (1 + tolerance), 1 + tolerance)
    if min(abs(ratio - edge) for ratio in (before, after, 1 / before, 1 / after) for edge in edges) < 1e-9:
        return
    strays = max(before, after, 1 / before, 1 / after) > 1 + tolerance
    for entry in (bracket(before, after), bracket(1 / before, 1 / after)):
        assert (tainted(entry, BASELINE_MS, tolerance) is not None) == strays


def test_a_single_stray_job_is_measured_again():
    verdicts = follow([bracket(1.0), bracket(1.5), bracket(1.0)])
    assert [(verdict.action, verdict.suspect_brackets) for verdict in verdicts] == [
        ("clean", 0),
        ("measure again", 1),
        ("clean", 0),
    ]


@pytest.mark.parametrize(("profile", "ratio"), [(RPI4, 1.5), (RPI4, 0.9), (GENERIC, 2.6), (GENERIC, 0.39)])
def test_a_few_stray_jobs_in_a_row_mean_quarantine(profile, ratio):
    few = profile.quarantine_after
    verdicts = follow([bracket(1.0)] * 5 + [bracket(ratio)] * few, profile)
    assert [verdict.action for verdict in verdicts] == ["clean"] * 5 + ["measure again"] * (few - 1) + [
        "quarantine"
    ]
    assert verdicts[-1].suspect_brackets == few
    assert f"{few} tainted jobs in a row" in verdicts[-1].text


@pytest.mark.parametrize(("ratio", "side"), [(1.025, "slower"), (1 / 1.025, "faster")])
def test_a_lasting_shift_within_the_tolerance_means_quarantine_back_to_its_begin(ratio, side):
    verdicts = follow([bracket(1.0)] * 7 + [bracket(ratio)] * 5)
    assert [verdict.action for verdict in verdicts] == ["clean"] * 11 + ["quarantine"]
    assert verdicts[-1].suspect_brackets == 5
    assert verdicts[-1].text == f"the reference model has been {side} than its baseline for 5 jobs, lastingly"


@given(strays=st.lists(st.floats(1 / 1.5, 1.5), min_size=1, max_size=50))
def test_the_generic_profile_lets_a_noisy_machine_work(strays):
    assert {verdict.action for verdict in follow(map(bracket, strays), GENERIC)} == {"clean"}


@given(pairs=st.lists(st.tuples(st.floats(0.95, 1.05), st.floats(0.95, 1.05)), min_size=1, max_size=40))
def test_the_state_is_pages_two_cumulative_sums(pairs):
    changes = np.clip(np.log(pairs).mean(axis=1), -np.log(1.03), np.log(1.03))
    state = DriftState()
    for count, pair in enumerate(pairs, start=1):
        state, _ = advance(state, bracket(*pair), BASELINE_MS, RPI4)
        for sign, found, length in (
            (1, state.slower, state.slower_brackets),
            (-1, state.faster, state.faster_brackets),
        ):
            # A cumulative sum restarted at 0 is the largest sum over any run of latest brackets.
            runs = np.cumsum((sign * changes[:count] - 0.0125)[::-1])
            assert found == pytest.approx(max(0.0, runs.max()), abs=1e-12)
            if runs.max() > 1e-9 and length < count:
                assert runs[length - 1] == pytest.approx(runs.max(), abs=1e-9)


def test_typical_noise_almost_never_means_quarantine():
    # 100,000 brackets; at the rate that must not be reached, 1 in 10,000, there would be 10 in the mean.
    noise = np.exp(np.random.default_rng(7).normal(0, TYPICAL_NOISE, 100_000))
    verdicts = follow(map(bracket, noise))
    assert sum(verdict.action == "quarantine" for verdict in verdicts) == 0
    assert sum(verdict.action == "measure again" for verdict in verdicts) < 30  # 4 sigma: 6 in the mean


@pytest.mark.parametrize(("shift", "median_jobs", "most_jobs"), [(1.03, 4, 6), (1.02, 7, 16)])
def test_a_shift_is_found_within_a_few_jobs(shift, median_jobs, most_jobs):
    noise = np.exp(np.random.default_rng(8).normal(0, TYPICAL_NOISE, (1000, 100)))
    needed = []
    for row in noise:
        actions = [verdict.action for verdict in follow(map(bracket, shift * row[: 4 * most_jobs]))]
        needed.append(actions.index("quarantine") + 1)
    assert np.median(needed) <= median_jobs
    assert np.percentile(needed, 99) <= most_jobs


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_a_latency_that_cannot_be_is_refused(value):
    with pytest.raises(ValueError, match=r"bracket: after_ms must be a finite number .* above 0, got"):
        Bracket(1.0, value)
    with pytest.raises(ValueError, match="baseline_ms must be"):
        tainted(bracket(1.0), value, 0.03)
    with pytest.raises(ValueError, match=r"class_baselines\[1\] must be"):
        scale(1.0, [1.0, value])


def test_a_tolerance_of_nothing_is_refused():
    with pytest.raises(ValueError, match="tolerance must be above 0, got 0"):
        tainted(bracket(1.0), BASELINE_MS, 0)


def test_a_devices_scale_is_relative_to_the_median_of_its_class():
    assert scale(6.0, [4.0, 6.0, 5.0]) == pytest.approx(1.2)
    assert scale(4.0, [4.0]) == 1.0
    with pytest.raises(ValueError, match="at least one baseline"):
        scale(4.0, [])
