"""A finalising sweep: candidates over their seeds, with validation and held-out data apart."""

import json
from dataclasses import replace

import numpy as np
import pytest
from report_journals import TEST, VALIDATION, finalised, finalising_started, scored, searched
from report_sweep import final_state, started, trained

from sweep.lifecycle import SweepState
from sweep.lifecycle.events import FinalistMeasured, TrialCompleted
from sweep.report.facts import facts_of
from sweep.report.finalising import final_candidates
from sweep.report.leaderboard import leaderboard_json, leaderboard_table
from sweep.report.lines import opening_lines
from sweep.report.screen import screen

FIRST, SECOND = (0, 2, 4), (1, 3, 5)


def scores(si_rmse: list[float], latency_ms: list[float]) -> np.ndarray:
    """The Final Score as the challenge defines it."""
    return 2 ** (-20 * np.array(si_rmse)) * 640_000 / np.array(latency_ms)


def by_trials(state: SweepState) -> dict[tuple[int, ...], object]:
    return {entry.trials: entry for entry in final_candidates(state)}


def test_a_candidates_figures_are_means_and_sample_deviations_over_its_seeds():
    entry = by_trials(final_state(finalised()))[FIRST]
    latency_ms = [10.0, 12.0, 14.0]
    for split, si_rmse in ((entry.validation, VALIDATION), (entry.test, TEST)):
        of_seeds = [si_rmse[trial] for trial in FIRST]
        expected = scores(of_seeds, latency_ms)
        assert split.si_rmse.mean == pytest.approx(np.mean(of_seeds))
        assert split.si_rmse.deviation == pytest.approx(np.std(of_seeds, ddof=1))
        assert split.final_score.mean == pytest.approx(np.mean(expected))
        assert split.final_score.deviation == pytest.approx(np.std(expected, ddof=1))
        assert split.si_rmse.seeds == split.final_score.seeds == 3
    assert entry.latency_ms.mean == pytest.approx(12.0)
    assert (entry.seeds, entry.complete, entry.test_frames) == ((0, 1, 2), 3, 40)


def test_what_is_not_judged_yet_is_in_no_mean_and_one_seed_has_no_deviation():
    entry = by_trials(final_state(finalised()))[SECOND]
    assert (entry.complete, entry.validation.si_rmse.seeds, entry.test.si_rmse.seeds) == (2, 2, 1)
    assert entry.validation.si_rmse.mean == pytest.approx((VALIDATION[1] + VALIDATION[3]) / 2)
    assert (entry.test.si_rmse.mean, entry.test.si_rmse.deviation) == (TEST[1], None)


def test_candidates_are_ordered_by_validation_even_where_test_says_otherwise():
    entries = final_candidates(final_state(finalised()))
    assert [entry.trials for entry in entries] == [FIRST, SECOND]
    assert entries[0].test.final_score.mean < entries[1].test.final_score.mean


def test_a_candidate_of_which_nothing_is_complete_comes_last_with_dashes(show):
    events = [finalising_started(), *trained(0, 2), *trained(1, 4), scored(1, 0.3, 10.0)]
    state = final_state(events)
    assert [entry.trials for entry in final_candidates(state)] == [(1,), (0,)]
    lines = show(leaderboard_table(state, width=80)).splitlines()
    assert any(line.split() == ["0", "-", "-", "-", "-", "-"] for line in lines)


def test_rounds_of_finalists_change_no_figure():
    rounds = [FinalistMeasured(trial, 1, 20.0, {"interval_ms": [19.0, 21.0]}) for trial in FIRST]
    entry = by_trials(final_state([*finalised(), *rounds]))[FIRST]
    assert entry == by_trials(final_state(finalised()))[FIRST]


FINAL_AT_80 = """\
Sweep final-1: the winners of search-1, retrained
mobilenetv3 on demo-1; x86_64 Test CPU, tflite-2.14.0, 1 thread, xnnpack
Latency is measured on this machine, not on a Raspberry Pi 4.
Validation: demo-1 (generated images: a score on them is not the challenge's);
the winners were chosen on it.
Test: demo-1-test, held out, so that no search reads it; 40 frames.
            validation    validation                  test         test
trials         si-RMSE         score    ms         si-RMSE        score
───────────────────────────────────────────────────────────────────────
0 2 4  0.3000 +-0.0100 859.7 +-207.1 12.00 0.3400 +-0.0100 483.3 +-14.9
1 3 5  0.3250 +-0.0071 598.2 +-128.3 12.00          0.3100        791.4
mean +- standard deviation over seeds; in order of the validation score
trials 1, 3, 5: 2 complete, 1 judged on test

Their trials, each judged on validation
 # trial  score si-RMSE RMSE  LOG10    REL    ms     95 % CI  MB state
"""


def test_the_leaderboard_shows_validation_and_test_in_columns_of_their_own(show):
    assert show(leaderboard_table(final_state(finalised()), width=80)).startswith(FINAL_AT_80)


def test_the_json_holds_test_figures_among_the_candidates_alone():
    board = leaderboard_json(final_state(finalised()))
    assert json.loads(json.dumps(board, allow_nan=False)) == board
    assert (board["finalizes"], board["test_data"]) == ("search-1", "demo-1-test")
    first = board["candidates"][0]
    assert (first["candidate_hash"], first["trials"], first["seeds"]) == (f"{0:016x}", [0, 2, 4], [0, 1, 2])
    assert first["test"]["si_rmse"]["mean"] == pytest.approx(0.34)
    assert "0.34" not in json.dumps(board["trials"])
    assert not any("test" in key for trial in board["trials"] for key in trial)


def test_a_search_never_shows_test_figures_even_if_its_journal_holds_some(show):
    held_out = {"metrics": {"si_rmse": 0.987, "rmse": 1.0, "log10": 1.0, "rel": 1.0}, "final_score": 0.98765}
    events = [
        replace(event, test={**held_out, "frames": 7}) if isinstance(event, TrialCompleted) else event
        for event in searched()
    ]
    state = final_state(events)
    assert leaderboard_table_text(show, state) == leaderboard_table_text(show, final_state(searched()))
    assert leaderboard_json(state) == leaderboard_json(final_state(searched()))
    assert not {"finalizes", "test_data", "candidates"} & set(leaderboard_json(state))


def leaderboard_table_text(show, state: SweepState) -> str:
    return show(leaderboard_table(state, width=120), 120)


def test_a_finalising_sweep_that_has_just_begun_can_be_shown(show):
    text = show(leaderboard_table(final_state([finalising_started()]), width=80))
    assert "No trials yet." in text
    assert "not judged yet." in text
    assert "No trials yet." in show(leaderboard_table(final_state([started()]), width=80))


def test_log_and_screen_say_whose_winners_are_retrained(show):
    facts = facts_of(finalising_started())
    assert next(opening_lines(facts)) == (
        "sweep final-1: mobilenetv3 on demo-1; retrains the winners of search-1, full fidelity 4 epochs"
    )
    text = show(screen(facts, final_state(finalised()), 1.0, height=24))
    assert text.startswith("Sweep final-1   mobilenetv3 on demo-1; retrains the winners of search-1\n")
