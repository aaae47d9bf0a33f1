"""The language follows from the candidate models: a new field is searchable without a line of its own."""

from typing import Annotated, Any, Literal, Self

import pytest
from pydantic import BaseModel, Field, ValidationError, model_validator

from sweep.space import candidate as candidate_models
from sweep.space.candidate import Frozen
from sweep.space.derive import group_of
from sweep.space.domain import Condition, IntegerRange, Options, Parameter, RealRange
from sweep.space.fields import submodels
from sweep.space.forms import problems
from sweep.space.parts import defaulting, exactly, maybe
from sweep.space.possible import analyse
from sweep.space.tree import Fixed, build, canonical, parameters, resolve


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


class Optional(Frozen):
    """Keys that may be absent, of every sort."""

    size: int | None = maybe("A size.", ge=1, le=4)
    rates: Rates | None = maybe("Rates.")
    pooling: Annotated[Plain | Pyramid, Field(discriminator="kind")] = defaulting(
        Plain(kind="plain"), "Pooling."
    )
    rotation: float = defaulting(0.0, "Degrees.", ge=0, le=45)
    strength: float = Field(default=0.5, ge=0, le=1, description="Always stated.")


def _optional(data: dict[str, Any]) -> Any:
    return build(group_of(Optional).model_validate(data), "o")


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
    tree = _tree({"rates": {"rates": "wide"}, "pooling": {"kind": "plain"}})
    assert analyse(tree).possible == 1
    assert Context.model_validate(resolve(tree, lambda _: "unasked")).rates.strength == 0.5


def test_what_says_nothing_leaves_no_trace_and_a_stated_default_is_always_there() -> None:
    spellings: list[dict[str, Any]] = [
        {},
        {"pooling": {"kind": "plain"}},
        {"rotation": 0, "strength": 0.5},
        {"rotation": 0.0, "pooling": {"kind": "plain"}},
    ]
    assert [canonical(_optional(data)) for data in spellings] == [{"strength": 0.5}] * 4


def test_optional_keys_are_searchable_in_all_forms() -> None:
    tree = _optional(
        {
            "size": {"int": [1, 3]},
            "rates": {"choose": {"a": {"rates": "wide"}, "b": {"rates": "narrow"}}, "strength": 0.25},
            "pooling": {"choose": {"pyramid": {"levels": 2}, "plain": {}}},
            "rotation": {"choose": [0, 15]},
        }
    )
    assert tuple(parameters(tree)) == (
        Parameter("o.size", IntegerRange(1, 3)),
        Parameter("o.rates", Options(("a", "b"))),
        Parameter("o.pooling", Options(("plain", "pyramid"))),
        Parameter("o.rotation", Options((0.0, 15.0))),
    )
    found = resolve(tree, lambda p: next(iter(p.domain.examples())))
    assert found == {
        "size": 1,
        "rates": {"rates": "wide", "strength": 0.25},
        "pooling": {"kind": "plain"},
        "rotation": 0.0,
        "strength": 0.5,
    }
    assert Optional.model_validate(found).model_dump() == {
        "size": 1,
        "rates": {"rates": "wide", "strength": 0.25},
        "strength": 0.5,
    }


def test_null_is_no_spelling_of_a_key_that_may_be_absent() -> None:
    for key in ("size", "rates", "pooling", "rotation"):
        with pytest.raises(ValidationError):
            group_of(Optional).model_validate({key: None})


def test_a_subclass_has_the_forms_of_the_fields_that_it_inherits() -> None:
    class Wider(Rates):
        more: bool

    groups = group_of(Rates).model_fields, group_of(Wider).model_fields
    assert [group["strength"].annotation for group in groups] == [groups[0]["strength"].annotation] * 2
    assert "more" in groups[1]


def test_exclusive_bounds_are_kept() -> None:
    data = {"rates": {"rates": "wide", "strength": {"float": [0, 1]}}, "pooling": {"kind": "plain"}}
    with pytest.raises(ValidationError) as raised:
        group_of(Context).model_validate(data)
    assert [str(problem) for problem in problems(raised.value, "f")] == [
        "f: rates.strength.float.0: found 0; allowed: a number above 0 up to but not 1",
        "f: rates.strength.float.1: found 1; allowed: a number above 0 up to but not 1",
    ]


@pytest.mark.parametrize("annotation", [list[int], int | str | None, int | str, dict[str, int], Any])
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
    published = {m for m in _models() if issubclass(m, candidate_models.PublishedEncoder)}
    assert with_validators == {
        candidate_models.Architecture,
        candidate_models.Distillation,
        candidate_models.Loss,
        candidate_models.Recipe,
        *published,
    }
    assert {m for m in _models() if m.constrained} == {*with_validators, candidate_models.MobileNetV3}


def test_what_validators_read_are_keys_of_theirs() -> None:
    """Each path leads through models, or through members of a union that have the key."""
    for model in _models():
        for path in model.constrained:
            models: list[type[BaseModel]] = [model]
            for key in path.split("."):
                having = [m for m in models if key in m.model_fields]
                assert having, (model, path)
                fields = [m.model_fields[key] for m in having]
                models = [inner for field in fields for inner in submodels(field)]


class Even(Frozen):
    """A model whose validator sees only whether numbers are even."""

    a: int = Field(ge=0, le=9)
    b: int = Field(ge=0, le=9)

    constrained = {"a": lambda a: a % 2, "b": lambda b: b % 2}  # noqa: RUF012  a test's model

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.a % 2 != self.b % 2:
            raise ValueError("a and b disagree")
        return self


class Outer(Frozen):
    one: Even
    other: Even
    free: bool

    constrained = {"one.a": exactly, "other.b": exactly}  # noqa: RUF012  a test's model

    @model_validator(mode="after")
    def _differ(self) -> Self:
        if self.one.a == self.other.b:
            raise ValueError("one.a is other.b")
        return self


def test_each_model_is_tried_with_what_its_own_validators_see() -> None:
    form = {"one": {"a": {"int": [0, 9]}, "b": {"choose": [1, 2, 4]}}, "free": {"choose": [False, True]}}
    form["other"] = {"a": {"int": [2, 4]}, "b": 2}
    analysis = analyse(build(group_of(Outer).model_validate(form), "x"))
    possible = {
        (a, b, c, free)
        for a in range(10)
        for b in (1, 2, 4)
        for c in (2, 3, 4)
        for free in (False, True)
        if a % 2 == b % 2 and c % 2 == 0 and a != 2
    }
    assert (analysis.possible, analysis.impossible) == (len(possible), 10 * 3 * 3 * 2 - len(possible))
    assert analysis.never_possible == (
        ("x.one.a", 2, "one.a is other.b"),
        ("x.other.a", 3, "a and b disagree"),
    )


def test_a_fixed_value_is_a_leaf() -> None:
    assert _optional({"size": 2}).fields["size"] == Fixed(2)
