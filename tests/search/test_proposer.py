"""The proposer: Optuna is told the truth, nothing is proposed twice, and proposals repeat."""

from typing import Any

import pytest
from optuna.trial import TrialState as OptunaState
from tests_search_builder import SweepBuilder

from sweep.lifecycle.events import (
    TrialAdmitted,
    TrialFailed,
    TrialInfeasible,
    TrialProposed,
    TrialPruned,
)
from sweep.search import Proposer
from sweep.space import Space, load_space, parse_space


@pytest.fixture
def space() -> Space:
    return load_space("mobilenetv3")


def propose(sweep: SweepBuilder, proposer: Proposer) -> int:
    proposal = proposer.propose(sweep.state.trials)
    assert proposal is not None
    number = len(sweep.state.trials)
    candidate = proposal.candidate
    sweep.record(
        TrialProposed(
            number,
            dict(proposal.assignment),
            candidate.model_dump(mode="json"),
            candidate.hash,
            candidate.architecture_hash,
            proposal.origin,
        )
    )
    return number


def admit(sweep: SweepBuilder, proposer: Proposer) -> int:
    number = propose(sweep, proposer)
    sweep.record(TrialAdmitted(number, 5.0, {}, {}))
    return number


def test_each_outcome_is_told_to_optuna_as_what_it_is(sweep: Any, space: Space) -> None:
    proposer = Proposer(space, seed=1)
    complete, pruned, paused, failed, infeasible, running = (admit(sweep, proposer) for _ in range(6))
    sweep.train(complete, 6, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    sweep.complete(complete, 6.5)
    sweep.train(pruned, 2, [1.0, 1.5])
    sweep.record(TrialPruned(pruned, 2, 1.5, "lost"))
    sweep.train(paused, 2, [3.0, 3.5])
    sweep.record(TrialFailed(failed, "diverged"))
    sweep.train(running, 6, [9.0], end=False)
    proposed = propose(sweep, proposer)
    sweep.record(TrialInfeasible(proposed, "no such operator"))

    study = proposer.study(sweep.state.trials)

    told = {trial.user_attrs["trial"]: trial for trial in study.trials}
    assert {number: trial.state for number, trial in told.items()} == {
        complete: OptunaState.COMPLETE,
        pruned: OptunaState.PRUNED,
        paused: OptunaState.PRUNED,
        failed: OptunaState.FAIL,
        infeasible: OptunaState.RUNNING,
        running: OptunaState.RUNNING,
        proposed: OptunaState.FAIL,
    }
    assert told[complete].value == 6.5
    assert told[pruned].intermediate_values == {1: 1.0, 2: 1.5}
    assert told[paused].intermediate_values == {1: 3.0, 2: 3.5}
    assert told[complete].params == sweep.state.trials[complete].assignment


def test_proposals_repeat_with_the_seed_and_the_history(space: Space) -> None:
    def run(seed: int) -> list[str]:
        sweep = SweepBuilder()
        proposer = Proposer(space, seed)
        for index in range(14):
            number = admit(sweep, proposer)
            sweep.train(number, 6, [float(index % 5)] * 6)
            sweep.complete(number, float(index % 5))
        return [trial.candidate_hash for trial in sweep.state.trials.values()]

    assert run(3) == run(3)
    assert run(3) != run(4)


def test_a_resumed_sweep_proposes_what_an_uninterrupted_one_would_have(sweep: Any, space: Space) -> None:
    proposer = Proposer(space, seed=2)
    for index in range(12):
        sweep.train(admit(sweep, proposer), 2, [float(index)] * 2)
    uninterrupted = proposer.propose(sweep.state.trials)
    resumed = Proposer(space, seed=2).propose(sweep.state.trials)
    assert uninterrupted == resumed


def test_the_first_trials_are_the_ones_asked_for(sweep: Any, space: Space) -> None:
    first = Proposer(space, seed=5).propose(sweep.state.trials)
    assert first is not None
    assert first.origin == "start"
    assert first.assignment.items() >= dict(space.start_from[0]).items()


FEW = """
name: few
architecture:
  input: {height: 32, width: 32, resize: bilinear}
  encoder:
    kind: mobilenetv3
    width: {choose: [0.25, 0.5]}
    stem_activation: relu
    stage1: &stage {depth: 1, kernel: 3, expansion: 2, squeeze_excite: false, activation: relu}
    stage2: *stage
    stop: {kind: stride_8}
  decoder: {kind: add, width: 8, upsampling: nearest}
  output: {stride: {choose: [2, 4]}, upsampling: nearest}
recipe:
  optimizer: {kind: adam}
  learning_rate: 0.01
  schedule: {kind: cosine, warmup: 0}
  loss: {silog: 1, silog_lambda: 0.85, gradient: 0, l1: 0}
  augmentation: {flip: false, crop: {kind: none}, colour: 0}
  batch_size: 4
budget: {trials: 20, max_epochs: 1}
"""


def test_nothing_is_proposed_twice_and_an_exhausted_space_says_so(sweep: Any) -> None:
    proposer = Proposer(parse_space(FEW), seed=0)
    for _ in range(4):
        propose(sweep, proposer)
    hashes = {trial.candidate_hash for trial in sweep.state.trials.values()}
    assert len(hashes) == 4
    assert proposer.propose(sweep.state.trials) is None


def test_the_sampler_learns_from_the_scores(sweep: Any, space: Space) -> None:
    """After scores that reward the nearest upsampling alone, the sampler proposes it more often than not."""
    proposer = Proposer(space, seed=7)
    name = "architecture.output.upsampling"
    for _ in range(25):
        number = admit(sweep, proposer)
        score = 100.0 if sweep.state.trials[number].assignment[name] == "nearest" else 1.0
        sweep.train(number, 6, [score] * 6)
        sweep.complete(number, score)
    proposed = [trial.assignment[name] for trial in list(sweep.state.trials.values())[13:]]
    assert proposed.count("nearest") >= 9
