"""A recipe's key with a default changes nothing for those who leave it out: hashes, journals, spaces."""

import json
from typing import Any

import pytest
from pydantic import ValidationError
from space_documents import put, small_document, space_of

from sweep.space import RandomSuggest, load_space
from sweep.space.candidate import Candidate, NoQuantization, QuantizationAware, canonical_hash

# As they were before a recipe had a key with a default.
HASHES = {
    0: ("ae9ef1798d2fae6f", "39304f4829dce5a1", "edaaf26f315f69ee"),
    1: ("627ea8c2870b0cb2", "dae4a9c7750ccaf9", "0c29bc10e512d847"),
    2: ("42fbcb00e94c8010", "407fab3e7701c134", "66c3f8decbebd9a9"),
}
SPACE_HASH = "2b053c37ebe3e5d6"
AWARE: dict[str, Any] = {"kind": "aware", "start": 0.5}


def drawn(seed: int) -> Candidate:
    _, candidate = load_space("mobilenetv3").draw(RandomSuggest(seed))
    return candidate


def with_quantization(candidate: Candidate, quantization: object) -> Candidate:
    values = candidate.model_dump(mode="json")
    values["recipe"]["quantization"] = quantization
    return Candidate.model_validate(values)


@pytest.mark.parametrize("seed", HASHES)
def test_candidates_keep_the_hashes_that_they_had_before_the_key(seed: int) -> None:
    candidate = drawn(seed)
    hashes = candidate.hash, candidate.architecture_hash, canonical_hash(candidate.recipe)
    assert hashes == HASHES[seed]


def test_a_recipe_without_the_key_is_the_recipe_that_states_the_default() -> None:
    absent = drawn(0)
    stated = with_quantization(absent, {"kind": "none"})
    assert absent.recipe.quantization == NoQuantization(kind="none")
    assert stated == absent
    assert stated.hash == absent.hash
    assert stated.model_dump(mode="json") == absent.model_dump(mode="json")
    assert "quantization" not in absent.model_dump(mode="json")["recipe"]


def test_training_aware_of_quantisation_is_another_candidate_of_the_same_architecture() -> None:
    plain = drawn(0)
    aware = with_quantization(plain, AWARE)
    later = with_quantization(plain, {**AWARE, "start": 0.75})
    assert aware.recipe.quantization == QuantizationAware(kind="aware", start=0.5)
    assert len({plain.hash, aware.hash, later.hash}) == 3
    assert aware.architecture_hash == plain.architecture_hash
    assert Candidate.model_validate(json.loads(aware.model_dump_json())) == aware


@pytest.mark.parametrize("start", [-0.1, 1.0, float("nan")])
def test_a_start_without_an_epoch_left_is_refused(start: float) -> None:
    with pytest.raises(ValidationError, match=r"quantization\.aware\.start"):
        with_quantization(drawn(0), {**AWARE, "start": start})


def test_a_space_that_fixes_the_default_is_the_space_without_the_key() -> None:
    assert load_space("mobilenetv3").hash == SPACE_HASH
    plain = space_of(small_document())
    stated = space_of(put(small_document(), "recipe.quantization", {"kind": "none"}))
    aware = space_of(put(small_document(), "recipe.quantization", AWARE))
    assert stated.hash == plain.hash
    assert stated.sample(RandomSuggest(3)) == plain.sample(RandomSuggest(3))
    assert aware.hash != plain.hash


def test_a_space_can_choose_and_search_the_start() -> None:
    choice = {"choose": {"none": {}, "aware": {"start": {"float": [0.25, 0.75]}}}}
    space = space_of(put(small_document(), "recipe.quantization", choice))
    rate = {"recipe.learning_rate": 0.005}
    plain = space.candidate({**rate, "recipe.quantization": "none"})
    aware = space.candidate({**rate, "recipe.quantization": "aware", "recipe.quantization.aware.start": 0.3})
    assert plain == space_of(small_document()).candidate(rate)
    assert aware.recipe.quantization == QuantizationAware(kind="aware", start=0.3)
    kinds = {space.draw(RandomSuggest(seed))[1].recipe.quantization.kind for seed in range(20)}
    assert kinds == {"none", "aware"}
