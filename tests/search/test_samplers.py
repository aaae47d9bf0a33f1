"""Samplers by name, against Optuna's own in-memory studies that know the same trials."""

from collections.abc import Sequence
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import settings as settings_of
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import TrialState as OptunaState
from optuna.trial import create_trial
from tests_search_builder import SweepBuilder
from tests_search_spaces import (
    CONDITIONAL,
    FLAT,
    ToySpace,
    admit,
    break_constraint,
    complete,
)

from sweep.lifecycle.events import TrialFailed, TrialPruned
from sweep.search.ports import SearchSpace
from sweep.search.proposer import make_proposer
from sweep.search.samplers import SamplerRefused, check_sampler, objectives_of
from sweep.search.seeds import mixed_seed
from sweep.search.told import FINAL_SCORE, PARETO_FRONT
from sweep.space import (
    Condition,
    IntegerRange,
    Options,
    Parameter,
    Primitive,
    RealRange,
    load_space,
)
from sweep.space import samplers as settings
from sweep.space.constraint import Constraint

# Optuna marks this argument as experimental; a test that writes it out knows.
pytestmark = pytest.mark.filterwarnings("ignore:Argument ``group``:optuna.exceptions.ExperimentalWarning")

SEED = 11
FAST = Constraint("latency_ms", 50.0)

RANDOM = settings.RandomSampler(kind="random")
TPE = settings.TPESampler(kind="tpe", startup_trials=4)
JOINT_TPE = settings.TPESampler(kind="tpe", startup_trials=4, candidates=8, multivariate=True)
GROUP_TPE = settings.TPESampler(kind="tpe", startup_trials=4, multivariate=True, group=True)
GP = settings.GPSampler(kind="gp", startup_trials=4)
NSGA2 = settings.NSGA2Sampler(kind="nsga2", population=4)

OPTUNA = {
    "random": (RANDOM, lambda seed: RandomSampler(seed=seed)),
    "tpe": (TPE, lambda seed: TPESampler(seed=seed, n_startup_trials=4, multivariate=False)),
    "joint tpe": (
        JOINT_TPE,
        lambda seed: TPESampler(seed=seed, n_startup_trials=4, n_ei_candidates=8, multivariate=True),
    ),
    "group tpe": (
        GROUP_TPE,
        lambda seed: TPESampler(seed=seed, n_startup_trials=4, multivariate=True, group=True),
    ),
    "gp": (GP, lambda seed: GPSampler(seed=seed, n_startup_trials=4)),
}
"""Our settings and the sampler that a user of Optuna would write for them."""


def make(space: SearchSpace, sampler: settings.Sampler, *constraints: Constraint) -> Any:
    return make_proposer(space, sampler, SEED, max_epochs=6, constraints=constraints)


class Ask:
    """A space's `Suggest` over Optuna's trial."""

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial = trial

    def categorical(self, name: str, options: Sequence[Primitive]) -> Any:
        return self.trial.suggest_categorical(name, list(options))

    def integer(self, name: str, low: int, high: int, step: int, log: bool) -> int:
        return self.trial.suggest_int(name, low, high, step=step, log=log)

    def real(self, name: str, low: float, high: float, log: bool) -> float:
        return self.trial.suggest_float(name, low, high, log=log)


class TrialByHand:
    """Optuna's form of an assignment, spelled out apart from the code under test."""

    def __init__(self, space: SearchSpace, assignment: dict[str, Primitive], **outcome: Any) -> None:
        self.assignment = assignment
        self.distributions: dict[str, Any] = {}
        space.sample(self)
        self.frozen = create_trial(params=dict(assignment), distributions=self.distributions, **outcome)

    def categorical(self, name: str, options: Sequence[Primitive]) -> Primitive:
        self.distributions[name] = CategoricalDistribution(options)
        return self.assignment[name]

    def integer(self, name: str, low: int, high: int, step: int, log: bool) -> int:
        self.distributions[name] = IntDistribution(low, high, step=step, log=log)
        return int(self.assignment[name])

    def real(self, name: str, low: float, high: float, log: bool) -> float:
        self.distributions[name] = FloatDistribution(low, high, log=log)
        return float(self.assignment[name])


def mixed_history(space: SearchSpace, constraint: Constraint | None = None) -> tuple[SweepBuilder, list[Any]]:
    """A sweep with trials of every outcome, and what an honest person would tell Optuna of them."""
    sweep, source = SweepBuilder(), make(space, RANDOM)
    by_hand: list[Any] = []

    def tell(number: int, state: OptunaState, **more: Any) -> None:
        assignment = dict(sweep.state.trials[number].assignment)
        by_hand.append(TrialByHand(space, assignment, state=state, **more).frozen)

    keeps = {"constraints": {str(constraint): 5.0 - constraint.limit}} if constraint else {}
    for score in (4.0, 9.0, 6.0, 7.5, 3.0, 8.0):
        number = admit(sweep, source)
        complete(sweep, number, score)
        tell(
            number,
            OptunaState.COMPLETE,
            value=score,
            intermediate_values=dict.fromkeys(range(1, 7), score),
            **keeps,
        )
    for score in (5.0, 2.0):
        number = admit(sweep, source)
        sweep.train(number, 2, [score] * 2)
        tell(number, OptunaState.PRUNED, intermediate_values={1: score, 2: score}, **keeps)
    sweep.record(TrialPruned(number, 2, 2.0, "lost"))
    failed = admit(sweep, source)
    sweep.record(TrialFailed(failed, "diverged"))
    tell(failed, OptunaState.FAIL)
    training = admit(sweep, source)
    sweep.train(training, 6, [4.0], end=False)
    tell(training, OptunaState.RUNNING, intermediate_values={1: 4.0})
    return sweep, by_hand


def optunas_own(space: SearchSpace, sampler: BaseSampler, trials: Sequence[Any]) -> dict[str, Primitive]:
    """What a plain in-memory study that was given ``trials`` asks for next."""
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.add_trials(trials)
    return space.sample(Ask(study.ask()))


@pytest.mark.parametrize("space", ["flat", "conditional", "mobilenetv3"])
@pytest.mark.parametrize("name", OPTUNA)
def test_every_sampler_proposes_what_optunas_own_study_would(name: str, space: str) -> None:
    ours, theirs = OPTUNA[name]
    spaces = {"flat": FLAT, "conditional": CONDITIONAL, "mobilenetv3": load_space("mobilenetv3")}
    if name == "gp" and space != "flat":
        with pytest.raises(SamplerRefused):
            make(spaces[space], ours)
        return
    sweep, by_hand = mixed_history(spaces[space])
    expected = optunas_own(spaces[space], theirs(mixed_seed(SEED, len(by_hand))), by_hand)
    assert make(spaces[space], ours).propose(sweep.state).assignment == expected


DOMAINS = st.one_of(
    st.integers(1, 4).map(lambda size: Options(tuple(f"option{index}" for index in range(size)))),
    st.integers(1, 9).map(lambda high: IntegerRange(1, high, log=True)),
    st.integers(1, 9).map(lambda steps: IntegerRange(-4, -4 + 3 * steps, step=3)),
    st.floats(0.5, 9.0).map(lambda high: RealRange(0.5, high, log=True)),
    st.floats(-1.0, 9.0).map(lambda high: RealRange(-1.0, high)),
)
CONDITIONS = st.sampled_from([None, Condition("choice", "a"), Condition("choice", "b")])


@st.composite
def random_spaces(draw: st.DrawFn) -> ToySpace:
    """A choice, up to five parameters of any kind that it may open, and a number that is never twice the same."""
    drawn = [
        Parameter(f"parameter{index}", domain, draw(CONDITIONS))
        for index, domain in enumerate(draw(st.lists(DOMAINS, max_size=5)))
    ]
    return ToySpace(
        (Parameter("choice", Options(("a", "b"))), *drawn, Parameter("number", RealRange(0.0, 1.0)))
    )


@settings_of(max_examples=25, deadline=None)
@given(random_spaces(), st.sampled_from(["random", "tpe", "joint tpe", "group tpe"]))
def test_any_space_is_put_to_optuna_as_it_is(space: ToySpace, name: str) -> None:
    ours, theirs = OPTUNA[name]
    sweep, by_hand = mixed_history(space)
    expected = optunas_own(space, theirs(mixed_seed(SEED, len(by_hand))), by_hand)
    assert make(space, ours).propose(sweep.state).assignment == expected


@pytest.mark.parametrize("name", ["tpe", "group tpe"])
def test_a_constrained_estimator_learns_from_candidates_that_broke_a_constraint(name: str) -> None:
    ours, theirs = OPTUNA[name]
    sweep, by_hand = mixed_history(FLAT, FAST)
    for latency_ms in (51.0, 90.0, 70.0):
        number = break_constraint(sweep, make(FLAT, RANDOM), latency_ms)
        broken = TrialByHand(
            FLAT,
            dict(sweep.state.trials[number].assignment),
            state=OptunaState.PRUNED,
            constraints={"latency_ms <= 50": latency_ms - 50.0},
        )
        by_hand.append(broken.frozen)
    expected = optunas_own(FLAT, theirs(mixed_seed(SEED, len(by_hand))), by_hand)
    assert make(FLAT, ours, FAST).propose(sweep.state).assignment == expected


def test_a_constrained_process_is_told_the_mean_score_of_what_was_never_trained() -> None:
    sweep, by_hand = mixed_history(FLAT, FAST)
    for latency_ms in (51.0, 90.0):
        number = break_constraint(sweep, make(FLAT, RANDOM), latency_ms)
        broken = TrialByHand(
            FLAT,
            dict(sweep.state.trials[number].assignment),
            state=OptunaState.COMPLETE,
            value=(4.0 + 9.0 + 6.0 + 7.5 + 3.0 + 8.0) / 6,
            constraints={"latency_ms <= 50": latency_ms - 50.0},
        )
        by_hand.append(broken.frozen)
    expected = optunas_own(FLAT, GPSampler(seed=mixed_seed(SEED, len(by_hand)), n_startup_trials=4), by_hand)
    assert make(FLAT, GP, FAST).propose(sweep.state).assignment == expected


def test_one_more_score_moves_what_is_told_of_the_untrained() -> None:
    sweep, source, proposer = SweepBuilder(), make(FLAT, RANDOM), make(FLAT, GP, FAST)
    broken = break_constraint(sweep, source, 90.0)
    assert proposer.study(sweep.state).trials[broken].values == [0.0]
    for score, mean in ((4.0, 4.0), (9.0, 6.5)):
        complete(sweep, admit(sweep, source), score)
        assert proposer.study(sweep.state).trials[broken].values == [mean]


SLOW_AND_FAST = ToySpace(
    (Parameter("engine", Options(("fast", "slow"))), Parameter("width", RealRange(0.0, 1.0)))
)


def test_the_estimator_leaves_what_breaks_a_constraint() -> None:
    sweep, proposer = SweepBuilder(), make(SLOW_AND_FAST, TPE, FAST)
    for _ in range(40):
        proposal = proposer.propose(sweep.state)
        if proposal.assignment["engine"] == "slow":
            break_constraint(sweep, Repeats(proposal), 80.0)
        else:
            number = admit(sweep, Repeats(proposal))
            complete(sweep, number, 5.0 - (float(proposal.assignment["width"]) - 0.6) ** 2)
    late = [trial.assignment["engine"] for trial in list(sweep.state.trials.values())[20:]]
    assert late.count("slow") <= 6


def test_nsga2_finds_its_way_to_candidates_that_keep_a_constraint() -> None:
    """Three in a hundred random candidates are fast enough; selection by violation finds them."""
    sweep, proposer = SweepBuilder(), make(FLAT, settings.NSGA2Sampler(kind="nsga2", population=8), FAST)
    latencies = []
    for _ in range(120):
        proposal = proposer.propose(sweep.state)
        latencies.append(50.0 * float(proposal.assignment["width"]) / 0.3)
        if latencies[-1] > 50.0:
            break_constraint(sweep, Repeats(proposal), latencies[-1])
        else:
            complete(sweep, admit(sweep, Repeats(proposal), latencies[-1]), 1.0)
    assert sum(latency <= 50.0 for latency in latencies[60:]) >= 30


class Repeats:
    """Proposes what was proposed."""

    def __init__(self, proposal: Any) -> None:
        self.proposal = proposal

    def propose(self, _: Any) -> Any:
        return self.proposal


def objectives(assignment: dict[str, Primitive]) -> tuple[float, float, float]:
    """si-RMSE, latency in ms and size in MB: three wishes that contradict each other."""
    width, depth = float(assignment["width"]), float(assignment["depth"])
    error = 1.0 / (1.0 + width * depth) + abs(float(assignment["rate"]) - 0.01)
    return error, 10.0 + 5.0 * depth * width, round(1e6 * (1.0 + width)) / 1e6


def test_nsga2_breeds_as_optunas_own_study_does() -> None:
    """Trial by trial, over eight generations, against a study that lives through all of them."""
    sweep, proposer = SweepBuilder(), make(FLAT, NSGA2)
    study = optuna.create_study(directions=["minimize"] * 3)
    for number in range(32):
        study.sampler = NSGAIISampler(seed=mixed_seed(SEED, number), population_size=4)
        if number >= 4:  # as a study has them from the second trial of a generation on
            study.sampler.get_parent_population(study, number // 4)
        known = [dict(trial.assignment) for trial in sweep.state.trials.values()]
        asked, theirs = ask_until_new(study, known)
        proposal = proposer.propose(sweep.state)
        assert proposal.assignment == theirs
        error, latency_ms, size_mb = objectives(theirs)
        complete(sweep, admit(sweep, Repeats(proposal), latency_ms, size_mb), 1.0, si_rmse=error)
        study.tell(asked, [error, latency_ms, size_mb])


def ask_until_new(study: optuna.Study, known: list[Any]) -> tuple[optuna.Trial, dict[str, Primitive]]:
    """Children may be copies of their parents; those are told as failed."""
    while True:
        asked = study.ask()
        assignment = FLAT.sample(Ask(asked))
        if assignment not in known:
            return asked, assignment
        study.tell(asked, state=OptunaState.FAIL)


def test_nsga2_inherits_also_what_a_choice_opens() -> None:
    """A child without its parents' values would have random ones, which are never equal to another's."""
    sweep, proposer = SweepBuilder(), make(CONDITIONAL, settings.NSGA2Sampler(kind="nsga2", population=8))
    inherited, seen = 0, set()
    for number in range(72):
        proposal = proposer.propose(sweep.state)
        opened = next(v for path, v in proposal.assignment.items() if path.count(".") == 2)
        inherited += number >= 24 and opened in seen
        seen.add(opened)
        error = abs(float(opened) - 0.5) + (proposal.assignment["optimizer"] == "adam")
        complete(sweep, admit(sweep, Repeats(proposal)), 1.0, si_rmse=error)
    assert inherited >= 12


def test_generations_beyond_pythons_depth_are_no_obstacle() -> None:
    sweep = SweepBuilder()
    source = make(FLAT, RANDOM)
    for _ in range(1200):
        complete(sweep, admit(sweep, source), 1.0)
    proposer = make(FLAT, settings.NSGA2Sampler(kind="nsga2", population=2))
    assert proposer.propose(sweep.state) is not None


def test_nsga2_resumed_breeds_as_uninterrupted() -> None:
    sweep, proposer = SweepBuilder(), make(CONDITIONAL, NSGA2)
    for index in range(18):
        number = admit(sweep, proposer, latency_ms=5.0 + index % 3, size_mb=1.0 + index % 4)
        complete(sweep, number, 1.0, si_rmse=0.1 * (index % 5))
    assert proposer.propose(sweep.state) == make(CONDITIONAL, NSGA2).propose(sweep.state)


def test_a_process_in_a_conditional_space_is_refused_by_name() -> None:
    with pytest.raises(SamplerRefused) as refusal:
        check_sampler(CONDITIONAL, GP)
    assert str(refusal.value) == (
        "sampler gp cannot serve a conditional space: optimizer.adam.decay exists only with optimizer: adam; "
        "samplers that can: composite, tpe, nsga2, random"
    )
    with pytest.raises(SamplerRefused, match="sampler gp cannot serve a conditional space"):
        make(CONDITIONAL, GP)


@pytest.mark.parametrize(
    "sampler", [RANDOM, TPE, JOINT_TPE, GROUP_TPE, NSGA2, settings.CompositeSampler(kind="composite")]
)
def test_all_other_samplers_serve_conditional_spaces(sampler: settings.Sampler) -> None:
    check_sampler(CONDITIONAL, sampler)
    check_sampler(FLAT, GP)


def test_only_nsga2_has_three_objectives() -> None:
    assert objectives_of(NSGA2) == PARETO_FRONT
    assert {objectives_of(sampler) for sampler in (RANDOM, TPE, GP)} == {FINAL_SCORE}


def test_a_trial_that_ran_out_of_time_untrained_teaches_nothing() -> None:
    sweep, _ = mixed_history(FLAT)
    source, proposer = make(FLAT, RANDOM), make(FLAT, TPE)
    number = admit(sweep, source)
    sweep.record(TrialPruned(number, 0, None, "out of time", "time"))
    told = proposer.study(sweep.state).trials[number]
    assert (told.state, told.user_attrs["outcome"]) == (OptunaState.FAIL, "pruned")


DEEP = ToySpace(
    (
        Parameter("a", Options(("x", "y"))),
        Parameter("a.x.b", Options(("p", "q")), Condition("a", "x")),
        Parameter("a.x.b.p.n", IntegerRange(1, 4), Condition("a.x.b", "p")),
    )
)


def test_a_choice_within_a_choice_is_bred_too(sweep: SweepBuilder) -> None:
    proposer = make(DEEP, NSGA2)
    for _ in range(6):
        complete(sweep, admit(sweep, proposer), 1.0)
    assert proposer.propose(sweep.state) is None  # a: y; a: x with b: q; a: x, b: p with n from 1 to 4
    told = proposer.study(sweep.state).trials
    assert [set(trial.params) for trial in told] == [{"a", "a.x.b", "a.x.b.p.n"}] * 6
