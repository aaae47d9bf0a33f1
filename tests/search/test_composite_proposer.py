"""The composite proposer over whole sweeps: pure, never repeating itself, and better than random."""

import itertools
import math
from collections.abc import Mapping

import pytest
from tests_composite_sweep import RUNG, SPACE, Runs, latency_ms, true_score, true_si_rmse
from tests_search_builder import MAX_EPOCHS, SweepBuilder
from tests_search_spaces import CONDITIONAL, ToySpace

from sweep.lifecycle.events import TrialAdmitted, TrialInfeasible
from sweep.search.composite import CompositeProposer, CompositeSettings
from sweep.search.composite.encoding import Encoding
from sweep.search.composite.utility import SCORE_PER_SI_RMSE
from sweep.search.ports import Start
from sweep.space import IntegerRange, Options, Parameter, Primitive, RandomSuggest
from sweep.space.constraint import Constraint

SETTINGS = CompositeSettings(startup_trials=5, pool=150)
BEST = max(
    true_score(
        {
            "architecture.block": block,
            "architecture.width": w,
            "recipe.optimizer": "adam",
            "recipe.rate": 3e-3,
        }
    )
    for block, w in itertools.product(("dense", "separable", "shuffle"), range(8, 65, 8))
)


def composite(seed: int = 0, space: ToySpace = SPACE, **more: object) -> CompositeProposer:
    return CompositeProposer(space, SETTINGS, seed, max_epochs=MAX_EPOCHS, **more)


def test_proposals_repeat_with_the_seed() -> None:
    sweeps = []
    for seed in (1, 1, 2):
        runs = Runs()
        runs.whole_trials(composite(seed), 12)
        sweeps.append(runs.assignments)
    assert sweeps[0] == sweeps[1]
    assert sweeps[0] != sweeps[2]
    assert all(one != other for one, other in zip(sweeps[0][5:], sweeps[2][5:], strict=True))


def test_a_resumed_sweep_proposes_what_an_uninterrupted_one_would() -> None:
    """Fits were made at earlier trials, of what was known then: a new proposer must arrive at them again."""
    steady, runs = composite(3), Runs()
    for _ in range(18):
        resumed = composite(3)
        ours, theirs = steady.propose(runs.sweep.state), resumed.propose(runs.sweep.state)
        assert ours is not None
        assert theirs is not None
        assert ours.assignment == theirs.assignment
        number = runs.propose(steady)
        runs.admit(number)
        if number:  # the trial before is trained only now: a fit must not know of epochs that came later
            runs.train(number - 1, MAX_EPOCHS if number % 3 == 0 else RUNG)


def test_epochs_after_a_fit_do_not_change_it() -> None:
    """Between two fits a proposer that never saw the earlier states comes to the same model."""
    runs, steady = Runs(), composite(4)
    runs.whole_trials(steady, 9)
    for trial in list(runs.sweep.state.trials.values()):
        if not trial.completion:
            runs.train(trial.number, MAX_EPOCHS)
    ours, theirs = steady.propose(runs.sweep.state), composite(4).propose(runs.sweep.state)
    assert ours is not None
    assert theirs is not None
    assert ours.assignment == theirs.assignment


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_thirty_trials_come_close_to_the_best(seed: int) -> None:
    runs = Runs()
    runs.whole_trials(composite(seed), 30)
    assert runs.best > 0.985 * BEST


def test_random_trials_seldom_come_close() -> None:
    """The bound above means something."""
    shares = []
    for seed in range(20):
        suggest = RandomSuggest(seed)
        shares.append(max(true_score(SPACE.sample(suggest)) for _ in range(30)) / BEST)
    assert sum(share > 0.985 for share in shares) <= 4


def test_no_candidate_is_proposed_twice_and_an_exhausted_space_ends() -> None:
    small = ToySpace(
        (
            Parameter("architecture.block", Options(("dense", "separable"))),
            Parameter("architecture.width", IntegerRange(8, 32, step=8)),
        ),
        # Two spellings of one network, and a network that cannot exist.
        meaning=lambda a: {
            ("separable", 16): ["dense", 16],
            ("separable", 32): None,
        }.get((a["architecture.block"], a["architecture.width"]), [*a.values()]),
    )
    proposer, sweep = CompositeProposer(small, SETTINGS, 0, max_epochs=MAX_EPOCHS), SweepBuilder()
    found = []
    while (proposal := proposer.propose(sweep.state)) is not None:
        sweep.propose(proposal.assignment, proposal.candidate.hash)
        found.append(proposal.candidate.hash)
    assert len(found) == len(set(found)) == 6


def test_starts_come_first_and_what_they_leave_open_is_drawn() -> None:
    whole = {
        "architecture.block": "dense",
        "architecture.width": 16,
        "recipe.optimizer": "adam",
        "recipe.rate": 0.01,
    }
    partial = {"architecture.block": "shuffle", "recipe.optimizer": "sgd"}
    starts = [Start(whole, "start", seed=7), Start(whole, "start"), Start(partial, "warm_start", seed=9)]
    runs, proposer = Runs(), composite(0, starts=starts)
    proposals = []
    for _ in range(4):
        proposal = proposer.propose(runs.sweep.state)
        assert proposal is not None
        proposals.append(proposal)
        runs.propose(proposer)
    assert [(p.origin, p.seed) for p in proposals] == [
        ("start", 7),
        ("sampler", None),  # the same candidate again: its turn is the sampler's
        ("warm_start", 9),
        ("sampler", None),
    ]
    assert proposals[0].assignment == whole
    assert partial.items() <= proposals[2].assignment.items()
    assert set(proposals[2].assignment) == {parameter.path for parameter in SPACE.parameters()}


def test_a_limit_on_latency_is_kept_once_latencies_are_known() -> None:
    limit = Constraint("latency_ms", 7.5)
    free, held = Runs(), Runs()
    free.whole_trials(composite(5), 25)
    held.whole_trials(composite(5, constraints=(limit,)), 25)
    best = max(free.assignments, key=true_score)
    assert latency_ms(best) > limit.limit  # or the limit would say nothing
    after_startup = held.assignments[8:]
    assert sum(latency_ms(a) <= limit.limit for a in after_startup) >= 0.8 * len(after_startup)


def test_a_limit_on_size_is_kept_once_sizes_are_known() -> None:
    runs, proposer = Runs(), composite(6, constraints=(Constraint("size_mb", 0.30),))
    for _ in range(20):
        number = runs.propose(proposer)
        assignment = runs.sweep.state.trials[number].assignment
        runs.admit(number, size_mb=0.01 * float(assignment["architecture.width"]))
        runs.train(number, RUNG)
    after_startup = runs.assignments[8:]
    assert sum(float(a["architecture.width"]) <= 30 for a in after_startup) >= 0.8 * len(after_startup)


def test_where_training_breaks_nothing_more_is_proposed() -> None:
    def breaks(assignment: Mapping[str, Primitive]) -> bool:
        return float(assignment["recipe.rate"]) > 2e-3  # the best rate is beyond

    runs, proposer = Runs(), composite(7)
    broken = []
    for _ in range(36):
        number = runs.propose(proposer)
        runs.admit(number)
        broken.append(breaks(runs.sweep.state.trials[number].assignment))
        if broken[-1]:
            runs.fail(number)
        else:
            runs.train(number, RUNG)
    assert sum(broken[-12:]) <= 6
    assert runs.best > 0.9 * BEST


def test_a_candidate_under_way_leaves_less_to_learn_nearby() -> None:
    runs, proposer = Runs(), composite(8)
    runs.whole_trials(proposer, 12)
    model = proposer.model(runs.sweep.state)
    assert model is not None
    encoding = Encoding(SPACE.parameters())
    code = encoding.encode([SPACE.sample(RandomSuggest(1))])
    nobody = encoding.encode([])
    alone, accompanied = model.predict(code, nobody), model.predict(code, code)
    assert accompanied.gain.tolist() == alone.gain.tolist()
    assert accompanied.gain_deviation[0] < 0.9 * alone.gain_deviation[0]


def test_what_is_unknown_of_all_candidates_alike_does_not_keep_the_search_at_home() -> None:
    """Nothing is trained beyond the first rung: the end of every curve is unknown, and by the same amount."""
    runs, proposer = Runs(), composite(11)
    for _ in range(20):
        number = runs.propose(proposer)
        runs.admit(number)
        runs.train(number, RUNG)
    model = proposer.model(runs.sweep.state)
    assert model is not None
    _, deviation = model.predict_final(model.trials[model.best]) or (math.nan, math.nan)
    encoding = Encoding(SPACE.parameters())
    near = dict(model.trials[model.best].assignment)
    near["recipe.rate"] = float(near["recipe.rate"]) * 1.05
    belief = model.predict(encoding.encode([near]), encoding.encode([]))
    assert belief.gain_deviation[0] < 0.2 * -SCORE_PER_SI_RMSE * deviation
    assert runs.best > 0.96 * BEST


def test_a_trial_trained_in_part_has_a_predicted_end() -> None:
    runs, proposer = Runs(), composite(9)
    runs.whole_trials(proposer, 25)
    model = proposer.model(runs.sweep.state)
    assert model is not None
    misses = []
    for trial in model.trials:
        predicted = model.predict_final(trial)
        assert predicted is not None
        mean, deviation = predicted
        misses.append((mean - true_si_rmse(trial.assignment)) / deviation)
        assert mean == pytest.approx(true_si_rmse(trial.assignment), abs=0.01)
    assert math.sqrt(sum(miss**2 for miss in misses) / len(misses)) < 2
    unseen = runs.propose(proposer)
    assert model.predict_final(runs.sweep.state.trials[unseen]) is None


def test_an_infeasible_trial_without_a_latency_does_no_harm() -> None:
    runs, proposer = Runs(), composite(10)
    for _ in range(10):
        number = runs.propose(proposer)
        if number % 4 == 1:
            runs.sweep.record(TrialInfeasible(number, "no runtime has this operator"))
            continue
        runs.admit(number)
        runs.train(number, RUNG)
    assert len({str(a) for a in runs.assignments}) == 10


def test_a_space_without_architecture_parameters_is_served() -> None:
    sweep, proposer = SweepBuilder(), CompositeProposer(CONDITIONAL, SETTINGS, 0, max_epochs=MAX_EPOCHS)
    for _ in range(8):
        proposal = proposer.propose(sweep.state)
        assert proposal is not None
        number = sweep.propose(proposal.assignment, proposal.candidate.hash)
        sweep.record(TrialAdmitted(number, 5.0, {}, {}))
        sweep.train(number, RUNG, [0.3, 0.4])
    assert len({trial.candidate_hash for trial in sweep.state.trials.values()}) == 8


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("startup_trials", -1),
        ("pool", 2),
        ("exploration", (0.5, 0.0)),
        ("parents", 0),
        ("most_trials", 1),
        ("most_pending", -1),
        ("fit_trials", 1),
        ("fit_growth", 1.0),
    ],
)
def test_a_setting_out_of_its_range_is_named(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        CompositeSettings(**{name: value})
