"""A simulated sweep that maximises a score of another package: decided by it, and shown under its name."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from sharp_score import SharpScore
from simulated_sweep import ASHA, Configuration, World

from sweep.judging.score import final_score
from sweep.lifecycle import SweepState, TrialState, read_journal, replay
from sweep.report.facts import facts_of
from sweep.report.history import history_of
from sweep.report.leaderboard import leaderboard_json, leaderboard_table
from sweep.report.lines import event_line
from sweep.report.status import status_json, status_of
from sweep.report.status_view import status_line
from sweep.report.summary import summary
from sweep.search import AdmissionPolicy
from sweep.search.finalists import standing
from sweep.search.samplers import objectives_of
from sweep.space.samplers import CompositeSampler, Sampler, TPESampler
from sweep.tracking.agreement import MlflowRow, agreement
from sweep.tracking.experiments import _view
from sweep.tracking.notes import sweep_note, trial_note
from sweep.tracking.plan import plan

TPE = TPESampler(kind="tpe", startup_trials=3)
COMPOSITE = CompositeSampler(kind="composite", startup_trials=4, pool=60)
SHARP = SharpScore()


def sharp(si_rmse: float, latency_ms: float) -> float:
    return -100 * si_rmse - latency_ms / 2


def searched(directory: Path, sampler: Sampler, policy: AdmissionPolicy) -> World:
    configuration = Configuration(
        sampler=sampler, trials=14, rungs=ASHA, admission=policy, finalist_rounds=4, keep=3
    )
    world = World(directory, configuration)
    world.run_to_the_end()
    return world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    policy = AdmissionPolicy(risk=0.05, extrapolation_risk=0.05, score=SHARP)
    return searched(tmp_path_factory.mktemp("sharp"), COMPOSITE, policy)


@pytest.fixture(scope="module")
def state(world: World) -> SweepState:
    return world.state


def test_every_score_in_the_journal_is_of_the_trials_own_figures(state: SweepState) -> None:
    complete = state.in_state(TrialState.COMPLETE)
    assert len(complete) >= 3
    for trial in complete:
        assert trial.completion is not None
        expected = sharp(trial.completion.metrics["si_rmse"], trial.completion.latency_ms)
        assert trial.final_score == pytest.approx(expected, rel=1e-12)
    for trial in state.trials.values():
        for record in trial.epochs:
            assert record.score == pytest.approx(sharp(record.si_rmse, trial.admission_latency_ms), rel=1e-12)


@pytest.mark.parametrize("sampler", [TPE, COMPOSITE], ids=lambda sampler: sampler.kind)
def test_the_winner_is_the_best_by_the_sweeps_own_score(tmp_path: Path, sampler: Sampler) -> None:
    found = searched(tmp_path, sampler, AdmissionPolicy(score=SHARP)).state
    figures = {
        trial.number: (trial.completion.metrics["si_rmse"], trial.completion.latency_ms)
        for trial in found.in_state(TrialState.COMPLETE)
        if trial.completion
    }
    assert found.best is not None
    assert found.best.number == max(figures, key=lambda trial: sharp(*figures[trial]))
    rungs = [trial for trial in found.trials.values() if trial.epochs]
    at_first = sorted(rungs, key=lambda trial: -sharp(trial.epochs[1].si_rmse, trial.admission_latency_ms))
    promoted = {trial.number for trial in rungs if trial.epoch > 2}
    assert at_first[0].number in promoted
    assert at_first[-1].number not in promoted


def test_the_challenges_score_would_have_chosen_otherwise(state: SweepState) -> None:
    """Or the tests here could not tell the two apart."""
    complete = [trial.completion for trial in state.in_state(TrialState.COMPLETE) if trial.completion]
    by_challenge = max(complete, key=lambda done: final_score(done.metrics["si_rmse"], done.latency_ms))
    by_own = max(complete, key=lambda done: sharp(done.metrics["si_rmse"], done.latency_ms))
    assert by_challenge is not by_own


def test_finalists_are_ordered_by_their_scores_in_the_rounds(state: SweepState) -> None:
    ordered = standing(state, SHARP)
    finalists = [trial for trial in ordered if len(trial.finals) >= 3]
    assert len(finalists) >= 2
    for trial in finalists:
        assert trial.completion is not None
    medians = [
        sharp(trial.completion.metrics["si_rmse"], sorted(final.latency_ms for final in trial.finals)[1])
        for trial in finalists
        if len(trial.finals) == 3
    ]
    assert medians == sorted(medians, reverse=True)


def printed(renderable: object) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(renderable)
    return console.file.getvalue()


def test_every_view_names_the_score_and_none_calls_it_the_challenges(world: World, state: SweepState) -> None:
    records = read_journal(world.directory)
    history = history_of(records)
    status = status_of("s", history, running=False, now=records[-1].time)
    best = state.best
    assert best is not None
    board = printed(leaderboard_table(state, width=120)).partition("For orientation")[0]
    facts = facts_of(state.started)
    views = {
        "leaderboard": board,
        "leaderboard --json": json.dumps(leaderboard_json(state)),
        "status": status_line(status),
        "status --json": json.dumps(status_json(status)),
        "summary": summary(state, directory=str(world.directory)),
        "sweep's note": sweep_note(facts, state),
        "trial's note": trial_note(facts, best),
        "log": "\n".join(told(records)),
    }
    for name, text in views.items():
        assert "Sharp Score" in text, name
        assert "Final Score" not in text, name
    assert f"Sharp Score {best.final_score:.4g}" in views["trial's note"]
    assert leaderboard_json(state)["score"] == "Sharp Score"


def told(records: tuple) -> list[str]:
    lines, before = [], SweepState()
    for index, record in enumerate(records):
        after = replay((earlier.time, earlier.event) for earlier in records[: index + 1])
        lines.append(event_line(before, after, record.event) or "")
        before = after
    return lines


def test_the_stores_have_it_under_its_name(world: World, state: SweepState) -> None:
    records = read_journal(world.directory)
    keys: set[str] = set()
    latest: dict[int | None, float] = {}
    partial: dict[int | None, dict[int, float]] = {}
    params: dict[str, str] = {}
    for index, record in enumerate(records):
        after = replay((earlier.time, earlier.event) for earlier in records[: index + 1])
        for update in plan(after, record):
            params |= update.params if update.run is None else {}
            for point in update.metrics:
                keys.add(point.key)
                if point.key == "sharp_score":
                    latest[update.run] = point.value
                if point.key == "partial_sharp_score":
                    partial.setdefault(update.run, {})[point.step] = point.value
    assert {"sharp_score", "partial_sharp_score", "best_sharp_score"} <= keys
    assert not {key for key in keys if key.endswith(("final_score", "partial_score"))}
    assert (params["score.class"], params["score.name"]) == ("sharp_score:SharpScore", "Sharp Score")
    rows = [MlflowRow(None, "FINISHED", "")] + [
        MlflowRow(
            number, status_in_mlflow(trial), trial.state.value, latest.get(number), partial.get(number, {})
        )
        for number, trial in state.trials.items()
    ]
    assert agreement(state, rows, None) == ()
    view = _view(facts_of(state.started).score)
    assert view["orderByKey"] == "metrics.`sharp_score`"
    assert objectives_of(TPE, SHARP).shown == ("Sharp Score",)


def status_in_mlflow(trial: object) -> str:
    from sweep.tracking.plan import _FINAL

    return _FINAL[trial.state]
