"""The language follows from the candidate models: a new field is searchable without a line of its own."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError

from sweep.space import candidate as candidate_models
from sweep.space.candidate import Frozen
from sweep.space.derive import group_of
from sweep.space.domain import Condition, IntegerRange, Options, Parameter, RealRange
from sweep.space.forms import problems
from sweep.space.possible import analyse, constrained_keys
from sweep.space.tree import build, parameters


class Rates(Frozen):
    rates: Literal["narrow", "wide"]
    strength: float = Field(default=0.5, gt=0, lt=1)


class Plain(Frozen):
    kind: Literal["plain"]


class Pyramid(Frozen):
    kind: Literal["pyramid"]
    levels: int = Field(ge=1, le=4)


class Context(Frozen):
    """A model that the package has never seen."""

    rates: Rates
    pooling: Annotated[Plain | Pyramid, Field(discriminator="kind")]


def _tree(data: dict[str, Any]) -> Any:
    return build(group_of(Context).model_validate(data), "context")


def test_an_unseen_model_is_searchable_in_all_forms() -> None:
    tree = _tree(
        {
            "rates": {
                "choose": {
                    "a": {"rates": "wide"},
                    "b": {"rates": "narrow", "strength": {"float": [0.1, 0.9]}},
                }
            },
            "pooling": {"choose": {"pyramid": {"levels": {"int": [1, 4]}}, "plain": {}}},
        }
    )
    assert tuple(parameters(tree)) == (
        Parameter("context.rates", Options(("a", "b"))),
        Parameter("context.rates.b.strength", RealRange(0.1, 0.9), Condition("context.rates", "b")),
        Parameter("context.pooling", Options(("plain", "pyramid"))),
        Parameter(
            "context.pooling.pyramid.levels", IntegerRange(1, 4), Condition("context.pooling", "pyramid")
        ),
    )


def test_a_key_that_is_left_out_keeps_the_default_of_the_candidate_model() -> None:
    analysis = analyse(_tree({"rates": {"rates": "wide"}, "pooling": {"kind": "plain"}}), Context)
    (combination,) = analysis.combinations
    assert Context.model_validate(combination.example).rates.strength == 0.5


def test_exclusive_bounds_are_kept() -> None:
    data = {"rates": {"rates": "wide", "strength": {"float": [0, 1]}}, "pooling": {"kind": "plain"}}
    with pytest.raises(ValidationError) as raised:
        group_of(Context).model_validate(data)
    assert [str(problem) for problem in problems(raised.value, "f")] == [
        "f: rates.strength.float.0: found 0; allowed: a number above 0 up to but not 1",
        "f: rates.strength.float.1: found 1; allowed: a number above 0 up to but not 1",
    ]


@pytest.mark.parametrize("annotation", [list[int], int | None, int | str, dict[str, int], Any])
def test_a_field_without_a_search_form_is_named(annotation: Any) -> None:
    model = type("Odd", (Frozen,), {"__annotations__": {"field": annotation}})
    with pytest.raises(TypeError, match=r"OddField: .* has no search form"):
        group_of(model)


@pytest.mark.parametrize("name", ["choose", "int", "float", "options"])
def test_a_field_named_like_a_word_of_the_language_is_refused(name: str) -> None:
    model = type("Odd", (Frozen,), {"__annotations__": {name: bool}})
    with pytest.raises(TypeError, match=f"needs the name '{name}' itself"):
        group_of(model)


def _models() -> list[type[Frozen]]:
    found = [value for value in vars(candidate_models).values() if isinstance(value, type)]
    return [model for model in found if issubclass(model, BaseModel) and issubclass(model, Frozen)]


def test_every_model_with_validators_of_its_own_says_what_they_read() -> None:
    with_validators = {m for m in _models() if m.__pydantic_decorators__.model_validators}
    assert with_validators == {m for m in _models() if m.constrained}
    assert with_validators == {candidate_models.Architecture, candidate_models.Loss}


def test_constrained_keys_are_found_in_nested_models() -> None:
    assert constrained_keys(candidate_models.Recipe) == {
        ("loss", "silog"),
        ("loss", "gradient"),
        ("loss", "l1"),
    }
