import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from random_spaces import documents, every_assignment
from space_documents import put, small_document, space_of

from sweep.space import (
    Assignment,
    Candidate,
    Condition,
    ImpossibleCandidate,
    IntegerRange,
    Options,
    Parameter,
    Primitive,
    RandomSuggest,
    RealRange,
    Space,
    SpaceError,
    parse_space,
)
from sweep.space.possible import assignments

SLOW_TO_DRAW = settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=25)


def loaded(document: dict[str, Any]) -> Space:
    """The space; documents that are impossible as a whole or in part are not of interest."""
    try:
        return space_of(document)
    except SpaceError as error:
        assume("impossible" not in str(error))
        raise


def branching() -> Space:
    stage = small_document()["architecture"]["encoder"]["stage1"]
    searched = {**stage, "depth": {"int": [1, 3]}, "kernel": {"choose": [5, 3]}}
    document = small_document()
    put(document, "architecture.encoder.stop", {
        "choose": {"stride_32": {"stage4": searched}, "stride_16": {}},
        "stage3": searched,
    })  # fmt: skip
    put(document, "architecture.input", {
        "choose": {"wide": {"height": 96, "width": 160}, "odd": {"height": 112, "width": {"int": [112, 128]}}},
        "resize": {"choose": ["pooled", "bilinear"]},
    })  # fmt: skip
    put(document, "recipe.optimizer", {
        "choose": {"adamw": {"weight_decay": {"float": [1e-5, 0.1], "log": True}}, "adam": {}}
    })  # fmt: skip
    return space_of(document)


def test_parameters_are_listed_with_domain_and_the_choice_that_opens_them() -> None:
    at_32 = Condition("architecture.encoder.stop", "stride_32")
    stop = "architecture.encoder.stop"
    assert branching().parameters() == (
        Parameter("architecture.input", Options(("odd", "wide"))),
        Parameter(
            "architecture.input.odd.width", IntegerRange(112, 128, 16), Condition("architecture.input", "odd")
        ),
        Parameter("architecture.input.resize", Options(("bilinear", "pooled"))),
        Parameter(stop, Options(("stride_16", "stride_32"))),
        Parameter(f"{stop}.stride_32.stage4.depth", IntegerRange(1, 3), at_32),
        Parameter(f"{stop}.stride_32.stage4.kernel", Options((3, 5)), at_32),
        Parameter(f"{stop}.stage3.depth", IntegerRange(1, 3)),
        Parameter(f"{stop}.stage3.kernel", Options((3, 5))),
        Parameter("recipe.optimizer", Options(("adam", "adamw"))),
        Parameter(
            "recipe.optimizer.adamw.weight_decay",
            RealRange(1e-5, 0.1, log=True),
            Condition("recipe.optimizer", "adamw"),
        ),
        Parameter("recipe.learning_rate", RealRange(1e-3, 1e-2, log=True)),
    )


def test_a_whole_assignment_spells_a_whole_candidate() -> None:
    assignment: Assignment = {
        "architecture.input": "wide",
        "architecture.input.resize": "pooled",
        "architecture.encoder.stop": "stride_32",
        "architecture.encoder.stop.stride_32.stage4.depth": 2,
        "architecture.encoder.stop.stride_32.stage4.kernel": 3,
        "architecture.encoder.stop.stage3.depth": 3,
        "architecture.encoder.stop.stage3.kernel": 5,
        "recipe.optimizer": "adamw",
        "recipe.optimizer.adamw.weight_decay": 0.01,
        "recipe.learning_rate": 0.002,
    }
    expected = small_document()
    stage = expected["architecture"]["encoder"]["stage1"]
    put(expected, "architecture.input", {"height": 96, "width": 160, "resize": "pooled"})
    put(expected, "architecture.encoder.stop", {
        "kind": "stride_32",
        "stage3": {**stage, "depth": 3, "kernel": 5},
        "stage4": {**stage, "depth": 2, "kernel": 3},
    })  # fmt: skip
    put(expected, "recipe.optimizer", {"kind": "adamw", "weight_decay": 0.01})
    put(expected, "recipe.learning_rate", 0.002)
    whole = Candidate(architecture=expected["architecture"], recipe=expected["recipe"])
    assert branching().candidate(assignment) == whole


def test_all_that_is_wrong_with_an_assignment_is_reported_together() -> None:
    space = branching()
    assignment: dict[str, Primitive] = {
        "architecture.input": "wide",
        "architecture.input.odd.width": 112,
        "architecture.input.resize": "nearest",
        "architecture.encoder.stop": "stride_16",
        "architecture.encoder.stop.stage3.depth": True,
        "architecture.encoder.stop.stage3.kernel": 5,
        "recipe.optimizer": "adamw",
        "recipe.learning_rate": 0.5,
        "recipe.learning_rates": 0.5,
    }
    with pytest.raises(SpaceError) as raised:
        space.candidate(assignment)
    assert str(raised.value).splitlines() == [
        "small.yaml: architecture.input.odd.width: found 112; "
        "allowed: this parameter only with architecture.input: odd",
        'small.yaml: architecture.input.resize: found "nearest"; allowed: bilinear, pooled',
        "small.yaml: architecture.encoder.stop.stage3.depth: found true; allowed: integers from 1 to 3",
        "small.yaml: recipe.optimizer.adamw.weight_decay: found nothing; allowed: numbers from 1e-05 to 0.1, log",
        "small.yaml: recipe.learning_rate: found 0.5; allowed: numbers from 0.001 to 0.01, log",
        "small.yaml: recipe.learning_rates: found an unknown parameter; "
        "allowed: the space's 11 parameters (did you mean recipe.learning_rate?)",
    ]


def test_a_combination_that_cannot_exist_is_told_apart_from_a_wrong_value() -> None:
    space = branching()
    wanted = {"architecture.input": "odd", "architecture.encoder.stop": "stride_32"}
    odd = next(sample for sample in _samples(space) if sample.items() >= wanted.items())
    with pytest.raises(ImpossibleCandidate, match="is not a multiple of the encoder's stride 32"):
        space.candidate(odd)


def _samples(space: Space) -> Iterator[Assignment]:
    suggest = RandomSuggest(0)
    while True:
        yield space.sample(suggest)


def test_drawing_skips_impossible_candidates() -> None:
    space = branching()
    suggest = RandomSuggest(1)
    drawn = [space.draw(suggest) for _ in range(200)]
    assert {a["architecture.encoder.stop"] for a, _ in drawn} == {"stride_16", "stride_32"}
    assert all(space.candidate(a) == candidate for a, candidate in drawn)


@SLOW_TO_DRAW
@given(documents(finite=False), st.integers(0, 2**32))
def test_a_sampled_assignment_survives_json_and_spells_the_same_candidate(
    document: dict[str, Any], seed: int
) -> None:
    space = loaded(document)
    assignment, candidate = space.draw(RandomSuggest(seed))
    again = space.candidate(json.loads(json.dumps(assignment)))
    assert again == candidate
    assert again.hash == candidate.hash
    assert Candidate.model_validate_json(candidate.model_dump_json()).hash == candidate.hash


@SLOW_TO_DRAW
@given(documents(finite=False), st.integers(0, 2**32))
def test_only_parameters_whose_choice_is_open_are_asked_for(document: dict[str, Any], seed: int) -> None:
    space = loaded(document)
    assignment = space.sample(RandomSuggest(seed))
    for parameter in space.parameters():
        condition = parameter.condition
        is_open = condition is None or assignment.get(condition.path) == condition.option
        assert (parameter.path in assignment) == is_open
    assert set(assignment) <= {parameter.path for parameter in space.parameters()}


@SLOW_TO_DRAW
@given(documents(finite=True), st.sampled_from(["architecture", "recipe"]))
def test_what_is_counted_is_what_trying_them_all_finds(document: dict[str, Any], part: str) -> None:
    """Distinct candidates on the one side; assignments that make none on the other."""
    other = "recipe" if part == "architecture" else "architecture"
    document[other] = small_document()[other]
    if part == "architecture":
        document["recipe"]["learning_rate"] = 1e-3
    space = loaded(document)
    analysis = space.architecture_analysis if part == "architecture" else space.recipe_analysis
    assume(assignments(space.tree) <= 2000)
    hashes, impossible = set(), 0
    for assignment in every_assignment(space):
        try:
            hashes.add(space.candidate(assignment).hash)
        except ImpossibleCandidate:
            impossible += 1
    assert (analysis.possible, analysis.impossible) == (len(hashes), impossible)


@SLOW_TO_DRAW
@given(documents(finite=False), st.integers(0, 2**32))
def test_a_candidate_of_the_space_leads_back_to_an_assignment_that_spells_it(
    document: dict[str, Any], seed: int
) -> None:
    space = loaded(document)
    _, candidate = space.draw(RandomSuggest(seed))
    again = space.assignment_of(Candidate.model_validate(candidate.model_dump(mode="json")))
    assert space.candidate(again) == candidate


def test_impossible_architectures_are_not_counted() -> None:
    # stride_16: 3 inputs x 2 resizes x 6 stages. stride_32: wide alone (96x160) x 2 x 6 x 6.
    assert branching().architectures() == 3 * 2 * 6 + 1 * 2 * 6 * 6


def test_a_range_of_floats_makes_infinitely_many_architectures() -> None:
    document = put(small_document(), "architecture.encoder.width", {"float": [0.5, 1.0]})
    assert space_of(document).architectures() is None
    document = put(small_document(), "architecture.encoder.width", {"float": [0.5, 0.5]})
    assert space_of(document).architectures() == 1


def _reversed(value: Any) -> Any:
    """The same document with every mapping and every list of options turned around."""
    if isinstance(value, dict):
        turned = {key: _reversed(child) for key, child in reversed(value.items())}
        if isinstance(turned.get("choose"), list):
            turned["choose"] = turned["choose"][::-1]
        return turned
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


@SLOW_TO_DRAW
@given(documents(finite=False), st.integers(0, 2**32))
def test_order_and_integer_spelling_change_neither_hash_nor_samples(
    document: dict[str, Any], seed: int
) -> None:
    space = loaded(document)
    parts = {key: _reversed(document[key]) for key in ("recipe", "architecture")}
    other = space_of({**document, **parts})
    assert other.hash == space.hash
    assert other.sample(RandomSuggest(seed)) == space.sample(RandomSuggest(seed))


def test_anchors_and_flow_style_do_not_change_the_hash() -> None:
    document = small_document()
    block = yaml.safe_dump(document, sort_keys=True)
    assert "&id001" not in block
    stage = document["architecture"]["encoder"]["stage1"]
    put(document, "architecture.encoder.stage2", stage)
    put(document, "architecture.encoder.stop.stage3", stage)
    anchored = yaml.safe_dump(document, sort_keys=False, default_flow_style=True)
    assert "&id001" in anchored
    assert parse_space(anchored).hash == parse_space(block).hash


@pytest.mark.parametrize(
    ("path", "value", "same"),
    [
        ("name", "other", True),
        ("keep", 1, True),
        ("budget.trials", 99, True),
        ("budget.time", "2h", True),
        ("sampler", {"kind": "random"}, True),
        ("start_from", [{"recipe.learning_rate": 5e-3}], True),
        ("recipe.batch_size", 16, False),
        ("recipe.learning_rate", {"float": [1e-3, 1e-2]}, False),
        ("target", {"threads": 2}, False),
        ("rungs", {"epochs": [3, 6]}, False),
        ("rungs.reduction_factor", 3, False),
        ("rungs.reduction_factor", [2, 4], False),
    ],
)
def test_the_hash_is_of_what_is_searched_and_how_it_is_compared(path: str, value: object, same: bool) -> None:
    changed = space_of(put(small_document(), path, value))
    assert (changed.hash == space_of(small_document()).hash) == same


def test_full_fidelity_is_part_of_the_hash_and_the_last_rung_follows_it() -> None:
    space = space_of(small_document())
    longer, shorter, shortest = (space.with_budget(max_epochs=n) for n in (12, 4, 1))
    assert [s.document.rungs.epochs for s in (longer, shorter, shortest) if s.document.rungs] == [
        (2, 6, 12),
        (2, 4),
        (1,),
    ]
    assert len({s.hash for s in (space, longer, shorter, shortest)}) == 4
    limits = space.with_budget(trials=3, time_s=60).document.budget
    assert (limits.trials, limits.max_epochs, limits.time_s) == (3, 6, 60)
    assert space.with_budget(trials=3, time_s=60).hash == space.hash


def test_defaults_are_stated_values() -> None:
    document = {k: v for k, v in small_document().items() if k != "rungs"}
    dumped = space_of(document).document.model_dump(exclude={"architecture", "recipe"}, by_alias=True)
    assert dumped == {
        "name": "small",
        "description": "",
        "target": {"labels": {}, "runtime": "", "threads": 1, "delegate": "xnnpack"},
        "export": {"variants": ("fp32",), "threads": None, "delegates": None, "output_upsampling": None},
        "budget": {"trials": 8, "max_epochs": 6, "time": "10m"},
        "rungs": None,
        "sampler": {"kind": "composite", "startup_trials": 8, "pool": 600},
        "constraints": (),
        "admission": {"rule": "off", "risk": 0.01},
        "finalists": {"top": 3, "rounds": 4},
        "warm_start": (),
        "start_from": (),
        "teacher": None,
        "score": None,
        "keep": 5,
    }


def test_first_trials_keep_their_order_and_take_the_type_of_their_domain() -> None:
    document = put(small_document(), "recipe.batch_size", {"choose": [8, 16]})
    entries = [{"recipe.batch_size": 16.0}, {"recipe.learning_rate": 0.01, "recipe.batch_size": 8}]
    first, second = space_of(put(document, "start_from", entries)).start_from
    assert (first, second) == (
        {"recipe.batch_size": 16},
        {"recipe.learning_rate": 0.01, "recipe.batch_size": 8},
    )
    assert isinstance(first["recipe.batch_size"], int)


class _Recorder:
    """Notes what is asked and gives the lowest answer."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []

    def categorical(self, name: str, options: Sequence[Primitive]) -> Primitive:
        self.asked.append((name, *options))
        return options[0]

    def integer(self, name: str, low: int, high: int, step: int, log: bool) -> int:
        self.asked.append((name, low, high, step, log))
        return low

    def real(self, name: str, low: float, high: float, log: bool) -> float:
        self.asked.append((name, low, high, log))
        return low


def test_suggest_is_asked_in_a_fixed_order_with_primitive_options() -> None:
    recorder = _Recorder()
    branching().sample(recorder)
    assert recorder.asked == [
        ("architecture.input", "odd", "wide"),
        ("architecture.input.odd.width", 112, 128, 16, False),
        ("architecture.input.resize", "bilinear", "pooled"),
        ("architecture.encoder.stop", "stride_16", "stride_32"),
        ("architecture.encoder.stop.stage3.depth", 1, 3, 1, False),
        ("architecture.encoder.stop.stage3.kernel", 3, 5),
        ("recipe.optimizer", "adam", "adamw"),
        ("recipe.learning_rate", 0.001, 0.01, True),
    ]


def test_an_answer_outside_the_domain_is_refused() -> None:
    class _Wrong(_Recorder):
        def real(self, name: str, low: float, high: float, log: bool) -> float:
            return super().real(name, low, high, log) + math.nan

    with pytest.raises(ValueError, match=r"numbers from 0.001 to 0.01, log"):
        branching().sample(_Wrong())


@SLOW_TO_DRAW
@given(documents(finite=False))
def test_a_document_that_is_written_back_is_the_same_space(document: dict[str, Any]) -> None:
    space = loaded(document)
    written = space.document.model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert space_of(written).hash == space.hash
