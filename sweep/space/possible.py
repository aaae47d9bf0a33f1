"""Which combinations can exist, and how many there are.

Candidate models may refuse combinations of values (an input that does not divide by the encoder's stride).
Each such model names, in ``constrained``, the keys that its validators read. Only those need to be combined
and tried; every other parameter just multiplies the count. So a space of 10^15 networks is counted exactly
by trying some dozens.
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from sweep.space.candidate import Frozen
from sweep.space.derive import submodels
from sweep.space.domain import Domain, Options, Parameter, Primitive, RealRange, overlap
from sweep.space.tree import Branch, Fixed, Group, Node

FieldPath = tuple[str, ...]
Count = int | float  # a float only for infinity: counts themselves are exact


@dataclass(frozen=True)
class Combination:
    """One combination of the constrained parameters.

    Attributes:
        choices: the constrained parameters that exist, by path, without ranges of floats.
        count: assignments that make this combination; infinite with a float range.
        example: nested values of one of them.
        reason: why none of them can exist; None: all can.
    """

    choices: Mapping[str, Primitive]
    count: Count
    example: Any
    reason: str | None = None


@dataclass(frozen=True)
class Analysis:
    """All combinations of one part of a space."""

    combinations: tuple[Combination, ...]

    @property
    def total(self) -> Count:
        """Assignments, impossible ones included."""
        return sum(c.count for c in self.combinations)

    @property
    def possible(self) -> Count:
        """Assignments that make a candidate."""
        return sum(c.count for c in self.combinations if c.reason is None)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why combinations are impossible, each reason once."""
        return tuple(dict.fromkeys(c.reason for c in self.combinations if c.reason is not None))

    def allows(self, assignment: Mapping[str, Primitive]) -> bool:
        """Whether a possible candidate has these values (only those in ``choices`` are looked at)."""
        return any(
            c.reason is None
            and all(c.choices.get(p, v) == v for p, v in assignment.items() if p in c.choices)
            for c in self.combinations
        )

    def never_possible(self) -> Iterator[tuple[str, Primitive, str]]:
        """Values (path, value, reason) that no possible candidate has."""
        alive = {item for c in self.combinations if c.reason is None for item in c.choices.items()}
        seen = set(alive)
        for combination in self.combinations:
            for path, value in combination.choices.items():
                if (path, value) not in seen:
                    seen.add((path, value))
                    yield path, value, str(combination.reason)


def analyse(node: Node, model: type[Frozen]) -> Analysis:
    """Try every combination of the constrained keys of ``model`` within the space ``node``."""
    combinations = _combine(node, (), constrained_keys(model))
    return Analysis(tuple(_tried(combination, model) for combination in combinations))


def constrained_keys(model: type[BaseModel], prefix: FieldPath = ()) -> frozenset[FieldPath]:
    """Paths of all fields that validators of ``model`` or of the models within read."""
    own = model.constrained if issubclass(model, Frozen) else ()
    paths = {prefix + tuple(key.split(".")) for key in own}
    for name, field in model.model_fields.items():
        for submodel in submodels(field):
            paths |= constrained_keys(submodel, (*prefix, name))
    return frozenset(paths)


def _tried(combination: Combination, model: type[BaseModel]) -> Combination:
    try:
        model.model_validate(combination.example)
    except ValidationError as error:
        return Combination(combination.choices, combination.count, combination.example, reason_of(error))
    return combination


def reason_of(error: ValidationError) -> str:
    """The messages of a candidate's validators on one line."""
    return "; ".join(line["msg"].removeprefix("Value error, ") for line in error.errors())


def _combine(node: Node, at: FieldPath, constrained: frozenset[FieldPath]) -> list[Combination]:
    match node:
        case Fixed():
            return [Combination({}, 1, node.value)]
        case Parameter():
            return _leaf(node, at in constrained)
        case Group():
            combinations = [Combination({}, 1, {})]
            for key, child in node.fields.items():
                combinations = _product(combinations, key, _combine(child, (*at, key), constrained))
            return combinations
        case Branch():
            return _branch(node, at, constrained)


def _leaf(parameter: Parameter, is_constrained: bool) -> list[Combination]:
    domain = parameter.domain
    if not is_constrained:
        return [Combination({}, domain.size, next(domain.examples()))]
    if isinstance(domain, RealRange):  # no single number is a choice: its ends are hardly ever drawn
        return [Combination({}, domain.size, value) for value in domain.examples()]
    return [Combination({parameter.path: value}, 1, value) for value in domain.examples()]


def _product(so_far: list[Combination], key: str, more: list[Combination]) -> list[Combination]:
    return [
        Combination({**a.choices, **b.choices}, a.count * b.count, {**a.example, key: b.example})
        for a, b in itertools.product(so_far, more)
    ]


def _branch(branch: Branch, at: FieldPath, constrained: frozenset[FieldPath]) -> list[Combination]:
    under = {label: _combine(branch.option(label), at, constrained) for label in branch.options}
    if any(path[: len(at)] == at for path in constrained):
        return [
            Combination({branch.parameter.path: label, **c.choices}, c.count, c.example)
            for label, combinations in under.items()
            for c in combinations
        ]
    every = [c for combinations in under.values() for c in combinations]
    return [Combination({}, sum(c.count for c in every), every[0].example)]


def overlapping_options(node: Node) -> Iterator[tuple[str, str, str]]:
    """Pairs of options (path, label, label) that can make the same values; a candidate has one spelling."""
    match node:
        case Group():
            for child in node.fields.values():
                yield from overlapping_options(child)
        case Branch():
            for one, other in itertools.combinations(node.options, 2):
                if _meet(node.options[one], node.options[other]):
                    yield node.parameter.path, one, other
            for option in (*node.options.values(), node.shared):
                yield from overlapping_options(option)


def _meet(one: Node, other: Node) -> bool:
    """Whether two nodes of the same candidate field can have the same value."""
    if isinstance(one, Branch):
        return any(_meet(one.option(label), other) for label in one.options)
    if isinstance(other, Branch):
        return _meet(other, one)
    if isinstance(one, Group) and isinstance(other, Group):
        return all(
            _meet(one.fields[key], other.fields[key]) for key in one.fields.keys() & other.fields.keys()
        )
    return overlap(_domain(one), _domain(other))


def _domain(node: Node) -> Domain:
    match node:
        case Fixed():
            return Options((node.value,))
        case Parameter():
            return node.domain
        case _:
            raise TypeError(f"{type(node).__name__} stands where its counterpart is a single value")
