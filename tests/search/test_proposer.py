"""The proposer: nothing is proposed twice, starts come first, and proposals repeat."""

from collections.abc import Mapping
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.samplers import BaseSampler, RandomSampler
from tests_search_builder import SweepBuilder
from tests_search_spaces import (
    CONDITIONAL,
    FLAT,
    ToySpace,
    admit,
    break_constraint,
    complete,
    propose,
    record,
)

from sweep.search import Start
from sweep.search.composite import CompositeProposer
from sweep.search.fixed import FixedProposer
from sweep.search.optuna_proposer import RANDOM_TRIES, OptunaProposer, Stopwatch
from sweep.search.ports import SearchSpace
from sweep.search.proposer import make_proposer
from sweep.search.samplers import Method, method_of
from sweep.search.seeds import mixed_seed
from sweep.search.told import FINAL_SCORE, Teller
from sweep.space import (
    Condition,
    IntegerRange,
    Options,
    Parameter,
    Primitive,
    RandomSuggest,
    Space,
    SpaceError,
    load_space,
    parse_space,
)
from sweep.space import samplers as named
from sweep.space.constraint import Constraint

RANDOM = named.RandomSampler(kind="random")
TPE = named.TPESampler(kind="tpe", startup_trials=3)
GROUP_TPE = named.TPESampler(kind="tpe", startup_trials=3, multivariate=True, group=True)
NSGA2 = named.NSGA2Sampler(kind="nsga2", population=2)
SERVES_ALL = [RANDOM, TPE, GROUP_TPE, NSGA2]


def make(space: SearchSpace, sampler: named.Sampler = TPE, seed: int = 0, *starts: Start) -> Any:
    return make_proposer(space, sampler, seed, max_epochs=6, starts=starts)


@pytest.fixture
def space() -> Space:
    return load_space("mobilenetv3")


@pytest.mark.parametrize("sampler", SERVES_ALL, ids=lambda sampler: sampler.kind)
def test_proposals_repeat_with_the_seed_and_the_history(sampler: named.Sampler) -> None:
    def run(seed: int) -> list[Mapping[str, Any]]:
        sweep, proposer = SweepBuilder(), make(CONDITIONAL, sampler, seed)
        for index in range(14):
            complete(sweep, admit(sweep, proposer), float(index % 5))
        return [trial.assignment for trial in sweep.state.trials.values()]

    assert run(3) == run(3)
    assert run(3) != run(4)


@pytest.mark.parametrize("sampler", SERVES_ALL, ids=lambda sampler: sampler.kind)
def test_a_resumed_sweep_proposes_what_an_uninterrupted_one_would_have(
    sweep: SweepBuilder, sampler: named.Sampler
) -> None:
    """Through every outcome, and back from paused to running to complete."""
    fast = Constraint("latency_ms", 50.0)
    proposer = make_proposer(CONDITIONAL, sampler, 2, max_epochs=6, constraints=[fast])

    def check() -> None:
        resumed = make_proposer(CONDITIONAL, sampler, 2, max_epochs=6, constraints=[fast])
        assert proposer.propose(sweep.state) == resumed.propose(sweep.state)

    for index in range(6):
        complete(sweep, admit(sweep, proposer), float(index))
        check()
    paused = admit(sweep, proposer)
    sweep.train(paused, 2, [7.0, 8.0])
    check()
    break_constraint(sweep, proposer, 60.0)
    check()
    sweep.train(paused, 6, [8.0], end=False)
    check()
    sweep.train(admit(sweep, proposer), 2, [1.0])
    check()


def test_a_seed_of_any_size_will_do(sweep: SweepBuilder) -> None:
    assert make(FLAT, TPE, 2**63).propose(sweep.state) is not None
    assert 0 <= mixed_seed(2**63, 10**6) < 2**32
    with pytest.raises(ValueError, match="non-negative"):
        mixed_seed(-1)


def test_the_time_in_optuna_is_counted_apart(sweep: SweepBuilder, space: Space) -> None:
    clock = iter(range(100))
    stopwatch = Stopwatch(lambda: float(next(clock)))
    for _ in range(3):
        with stopwatch:
            pass
    assert stopwatch.seconds == 3.0
    proposer = make(space)
    assert proposer.optuna_seconds == 0.0
    proposer.propose(sweep.state)
    assert proposer.optuna_seconds > 0.0


# Starts


def test_the_first_trials_are_the_ones_asked_for(sweep: SweepBuilder, space: Space) -> None:
    whole = space.sample(RandomSuggest(1))
    starts = [Start(space.start_from[0], "start"), Start(whole, "warm_start", seed=7)]
    proposer = make(space, TPE, 5, *starts)
    first = proposer.propose(sweep.state)
    assert first.origin == "start"
    assert first.assignment.items() >= space.start_from[0].items()
    record(sweep, first)
    second = proposer.propose(sweep.state)
    assert (second.assignment, second.origin, second.seed) == (whole, "warm_start", 7)
    record(sweep, second)
    third = proposer.propose(sweep.state)
    assert (third.origin, third.seed) == ("sampler", None)


def test_what_a_start_leaves_open_is_drawn_as_optunas_own_queue_would(sweep: SweepBuilder) -> None:
    for index in range(5):
        complete(sweep, admit(sweep, make(FLAT)), float(index))
    fixed = {"kernel": 7, "width": 1.5}
    starts = [Start({}, "start")] * 5 + [Start(fixed, "start")]
    ours = make(FLAT, TPE, 9, *starts).propose(sweep.state)

    teller = Teller.of(FLAT, FINAL_SCORE, ())
    sampler = optuna.samplers.TPESampler(seed=mixed_seed(9, 5), n_startup_trials=3, multivariate=False)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.add_trials([teller.tell(trial) for trial in sweep.state.trials.values()])
    study.enqueue_trial(fixed)
    asked = study.ask({path: teller.distributions[path] for path in teller.distributions})
    assert ours.assignment == asked.params


def test_a_start_that_is_known_leaves_its_turn_to_the_sampler(sweep: SweepBuilder) -> None:
    start = Start(FLAT.sample(RandomSuggest(3)), "start")
    proposer = make(FLAT, RANDOM, 0, start, start)
    assert record(sweep, proposer.propose(sweep.state)) == 0
    again = proposer.propose(sweep.state)
    assert again.origin == "sampler"
    assert again.assignment != start.assignment


def test_a_start_that_must_be_drawn_several_times_is_still_a_start(sweep: SweepBuilder) -> None:
    def meaning(assignment: Mapping[str, Primitive]) -> Any:
        return dict(assignment) if assignment["b"] == 9 else None

    space = ToySpace((Parameter("a", IntegerRange(0, 9)), Parameter("b", IntegerRange(0, 9))), meaning)
    proposal = make(space, RANDOM, 0, Start({"a": 4}, "start")).propose(sweep.state)
    assert (proposal.assignment, proposal.origin) == ({"a": 4, "b": 9}, "start")


def test_fixed_candidates_come_in_order_and_may_repeat(sweep: SweepBuilder, space: Space) -> None:
    one, other = space.draw(RandomSuggest(1))[0], space.draw(RandomSuggest(2))[0]
    starts = [Start(one, "finalist", 0), Start(one, "finalist", 1), Start(other, "finalist", 0)]
    proposer = FixedProposer(space, starts)
    proposals = []
    for _ in starts:
        proposal = proposer.propose(sweep.state)
        record(sweep, proposal)
        proposals.append(proposal)
    assert [(p.assignment, p.origin, p.seed) for p in proposals] == [
        (one, "finalist", 0),
        (one, "finalist", 1),
        (other, "finalist", 0),
    ]
    assert proposals[0].candidate == proposals[1].candidate == space.candidate(one)
    assert proposer.propose(sweep.state) is None
    assert proposer.optuna_seconds == 0.0


def test_a_fixed_candidate_must_be_whole(sweep: SweepBuilder, space: Space) -> None:
    part = dict(list(space.start_from[0].items())[1:])
    with pytest.raises(SpaceError, match="nothing"):
        FixedProposer(space, [Start(part, "finalist")]).propose(sweep.state)


# Duplicates and exhaustion


def options(size: int, name: str, condition: Condition | None) -> Parameter:
    return Parameter(name, Options(tuple(f"{name}{index}" for index in range(size))), condition)


@st.composite
def small_spaces(draw: st.DrawFn) -> tuple[ToySpace, set[str]]:
    """A choice that may open one more, a number whose halves are one candidate, and every possible hash."""
    labels = draw(st.integers(1, 3))
    numbers = draw(st.integers(1, 3))
    inner = draw(st.integers(0, 2))
    forbidden = draw(st.integers(0, 3))
    parameters = [options(labels, "x", None), Parameter("n", IntegerRange(0, numbers - 1))]
    if inner:
        parameters.append(options(inner, "x.x0.y", Condition("x", "x0")))

    def meaning(assignment: Mapping[str, Primitive]) -> Any:
        if int(assignment["n"]) == forbidden:
            return None
        return {**assignment, "n": int(assignment["n"]) // 2}

    space = ToySpace(tuple(parameters), meaning)
    inners = [{"x.x0.y": f"x.x0.y{index}"} for index in range(inner)]
    spelled = [
        {"x": f"x{label}", "n": number, **more}
        for label in range(labels)
        for number in range(numbers)
        for more in (inners if inners and label == 0 else [{}])
        if number != forbidden
    ]
    return space, {space.candidate(assignment).hash for assignment in spelled}


@settings(max_examples=25, deadline=None)
@given(small_spaces(), st.sampled_from(SERVES_ALL), st.integers(0, 5), st.integers(0, 3))
def test_every_candidate_of_a_small_space_is_proposed_exactly_once(
    tiny: tuple[ToySpace, set[str]], sampler: named.Sampler, seed: int, outcome: int
) -> None:
    space, everything = tiny
    sweep, proposer = SweepBuilder(), make(space, sampler, seed)
    for _ in everything:
        number = admit(sweep, proposer)
        if outcome:
            complete(sweep, number, float(number % outcome))
    proposed = [trial.candidate_hash for trial in sweep.state.trials.values()]
    assert sorted(proposed) == sorted(everything)
    assert proposer.propose(sweep.state) is None


def test_a_process_takes_every_candidate_once_too(sweep: SweepBuilder) -> None:
    space = ToySpace((Parameter("a", Options((1, 2))), Parameter("b", Options(("p", "q")))))
    proposer = make(space, named.GPSampler(kind="gp", startup_trials=2))
    for score in (1.0, 2.0, 3.0, 4.0):
        complete(sweep, admit(sweep, proposer), score)
    assert len({trial.candidate_hash for trial in sweep.state.trials.values()}) == 4
    assert proposer.propose(sweep.state) is None


class Stubborn(RandomSampler):
    """Asks for 0 and nothing else; counts how often it was asked."""

    def __init__(self) -> None:
        super().__init__(seed=0)
        self.asked = 0

    def sample_independent(self, *_: Any) -> Any:
        self.asked += 1
        return 0


def stubborn_method(space: SearchSpace, sampler: BaseSampler) -> Method:
    random = method_of(space, RANDOM, 0, ())
    return Method(lambda _: sampler, random.objectives, random.tell, random.prepare)


def test_after_fifty_known_answers_random_draws_go_on(sweep: SweepBuilder) -> None:
    space = ToySpace((Parameter("n", IntegerRange(0, 9)),))
    sampler = Stubborn()
    proposer = OptunaProposer(space, stubborn_method(space, sampler), seed=0)
    assert proposer.propose(sweep.state).assignment == {"n": 0}
    assert sampler.asked == 1
    record(sweep, proposer.propose(sweep.state))
    for _ in range(9):
        sampler.asked = 0
        propose(sweep, proposer)
        assert sampler.asked == 50
    assert sorted(trial.assignment["n"] for trial in sweep.state.trials.values()) == list(range(10))
    assert proposer.propose(sweep.state) is None


def test_random_draws_end_too(sweep: SweepBuilder) -> None:
    drawn = []

    def impossible(assignment: Mapping[str, Primitive]) -> None:
        drawn.append(assignment)

    space = ToySpace((Parameter("n", IntegerRange(0, 10**9)),), impossible)
    assert make(space, RANDOM).propose(sweep.state) is None
    assert len(drawn) == 50 + RANDOM_TRIES


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


def test_a_real_space_of_four_candidates_is_exhausted_after_four(sweep: SweepBuilder) -> None:
    proposer = make(parse_space(FEW))
    for _ in range(4):
        propose(sweep, proposer)
    assert len({trial.candidate_hash for trial in sweep.state.trials.values()}) == 4
    assert proposer.propose(sweep.state) is None


# Learning


def test_the_sampler_learns_from_the_scores(sweep: SweepBuilder, space: Space) -> None:
    """After scores that reward the nearest upsampling alone, the sampler proposes it more often than not."""
    proposer = make(space, named.TPESampler(kind="tpe"), 7)
    name = "architecture.output.upsampling"
    for _ in range(25):
        number = admit(sweep, proposer)
        nearest = sweep.state.trials[number].assignment[name] == "nearest"
        complete(sweep, number, 100.0 if nearest else 1.0)
    proposed = [trial.assignment[name] for trial in list(sweep.state.trials.values())[13:]]
    assert proposed.count("nearest") >= 9


def test_a_study_of_the_sweep_shows_what_has_happened(sweep: SweepBuilder) -> None:
    proposer = make(FLAT)
    for score in (2.0, 5.0, 3.0):
        complete(sweep, admit(sweep, proposer), score)
    study = proposer.study(sweep.state)
    assert (study.best_trial.number, study.best_value) == (1, 5.0)


def test_the_composite_sampler_is_made_by_name(space: Space) -> None:
    assert isinstance(make(space, named.CompositeSampler(kind="composite")), CompositeProposer)
