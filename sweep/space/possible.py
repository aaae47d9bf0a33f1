"""Which combinations can exist, and how many there are.

Candidate models may refuse combinations of values (an input that does not divide by the encoder's stride).
Each such model says in ``constrained`` at which keys its validators look, and what they see there: of a loss's
weight only whether it is zero. So values that look alike are counted together, and each model is tried with the
combinations of what its own validators see; what models further out see of it is all that is passed on. Every
other parameter just multiplies the count. So a space of 10^15 networks is counted exactly by trying some dozens.
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from sweep.space.domain import Domain, Options, Parameter, Primitive, RealRange, overlap
from sweep.space.parts import Frozen, Reading
from sweep.space.tree import Branch, Fixed, Group, Node, fixed

FieldPath = tuple[str, ...]
Count = int | float  # a float only for infinity: counts themselves are exact

#: A place that a validator looks at, from the model in question, and what it sees of the value there.
Look = tuple[FieldPath, Reading]
Looks = frozenset[Look]
#: What the validators see, of each place that is given.
Sight = frozenset[tuple[Look, Any]]
Value = tuple[str, Primitive]


@dataclass(frozen=True)
class Analysis:
    """Possible and impossible combinations of one part of a space.

    Attributes:
        possible: distinct candidates' parts; infinite with a float range.
        impossible: assignments that make none, if they are finite.
        reasons: why assignments are impossible, each reason once.
        never_possible: values (path, value, reason) that no possible candidate has.
        constrained: the parameters that can make a combination impossible, by path.
    """

    possible: Count
    impossible: Count
    reasons: tuple[str, ...]
    never_possible: tuple[tuple[str, Primitive, str], ...]
    constrained: tuple[str, ...]

    @classmethod
    def of_possible(cls, number: int) -> "Analysis":
        """Nothing is impossible."""
        return cls(number, 0, (), (), ())


def analyse(node: Node) -> Analysis:
    """Count what is in the space ``node``."""
    trial = _Trial()
    outcomes = trial.outcomes(node, frozenset())
    alive = frozenset[Value]().union(*(outcome.alive for outcome in outcomes))
    dead = [(*value, trial.reasons[value]) for value in trial.seen if value not in alive]
    total, made = assignments(node), sum(outcome.assignments for outcome in outcomes)
    return Analysis(
        possible=sum(outcome.count for outcome in outcomes),
        impossible=0 if math.isinf(total) else total - made,
        reasons=tuple(dict.fromkeys(trial.why)),
        never_possible=tuple(dead),
        constrained=tuple(dict.fromkeys(path for path, _ in trial.seen)),
    )


def assignments(node: Node) -> Count:
    """The number of assignments, impossible ones included."""
    match node:
        case Fixed():
            return 1
        case Parameter():
            return node.domain.size
        case Group():
            return math.prod(map(assignments, node.fields.values()))
        case Branch():
            return sum(assignments(node.option(label)) for label in node.options)


@dataclass(frozen=True)
class _Outcome:
    """Possible assignments that look alike from outside.

    Attributes:
        sight: what validators further out see of them.
        example: nested values of one of them.
        count: distinct ones.
        assignments: how many assignments make them.
        alive: values of constrained parameters that some of them have.
    """

    sight: Sight
    example: Any
    count: Count
    assignments: Count
    alive: frozenset[Value]


@dataclass(frozen=True)
class _Trial:
    """Tries combinations, and notes what it learns.

    Attributes:
        seen: values that validators look at, in the order of the tree.
        reasons: why a value was impossible somewhere.
        why: the reasons of all impossible combinations, in the order found.
    """

    seen: dict[Value, None] = field(default_factory=dict)
    reasons: dict[Value, str] = field(default_factory=dict)
    why: list[str] = field(default_factory=list)

    def outcomes(self, node: Node, looks: Looks) -> list[_Outcome]:
        """The possible assignments of ``node``; ``looks`` is what validators further out see of it."""
        match node:
            case Fixed():
                return [_Outcome(_sight(looks, node.value), node.value, 1, 1, frozenset())]
            case Parameter():
                return self._of_parameter(node, looks)
            case Group():
                return self._of_group(node, looks)
            case Branch():
                return self._of_branch(node, looks)

    def _of_parameter(self, parameter: Parameter, looks: Looks) -> list[_Outcome]:
        domain = parameter.domain
        if not looks:
            return [_Outcome(frozenset(), next(domain.examples()), domain.size, domain.size, frozenset())]
        if isinstance(domain, RealRange):  # no single number is a choice: its ends are hardly ever drawn
            sights = {_sight(looks, value): value for value in domain.examples()}
            return [_Outcome(s, value, domain.size, domain.size, frozenset()) for s, value in sights.items()]
        values = [(parameter.path, value) for value in domain.examples()]
        self.seen.update(dict.fromkeys(values))
        return _merged(
            _Outcome(_sight(looks, value[1]), value[1], 1, 1, frozenset((value,))) for value in values
        )

    def _of_branch(self, branch: Branch, looks: Looks) -> list[_Outcome]:
        judged = bool(looks) or _has_rules(branch)
        found: list[_Outcome] = []
        for label in branch.options:
            chosen = (branch.parameter.path, label)
            if judged:
                self.seen[chosen] = None
            options = self.outcomes(branch.option(label), looks)
            if not options:
                self.reasons.setdefault(chosen, self.why[-1])
            also = frozenset((chosen,)) if judged else frozenset()
            found += [_with(outcome, alive=outcome.alive | also) for outcome in options]
        return _merged(found)

    def _of_group(self, group: Group, looks: Looks) -> list[_Outcome]:
        inner = looks | {(tuple(key.split(".")), look) for key, look in _rules(group.model).items()}
        parts = [self.outcomes(child, _within(inner, key)) for key, child in group.fields.items()]
        if not all(parts):
            rest = (outcome.alive for part in parts for outcome in part)
            self._impossible(self.why[-1], frozenset[Value]().union(*rest))
            return []
        combinations = (dict(zip(group.fields, part, strict=True)) for part in itertools.product(*parts))
        found = (self._of_combination(combination, group.model, looks) for combination in combinations)
        return _merged(outcome for outcome in found if outcome)

    def _of_combination(
        self, parts: Mapping[str, _Outcome], model: type[Frozen] | None, looks: Looks
    ) -> _Outcome | None:
        """What comes of one outcome for each key; None: they cannot be together."""
        example = {key: part.example for key, part in parts.items()}
        alive = frozenset[Value]().union(*(part.alive for part in parts.values()))
        seen = {
            (((key, *path), reading), value)
            for key, part in parts.items()
            for (path, reading), value in part.sight
            if ((key, *path), reading) in looks
        }
        idle: frozenset[str] = frozenset()
        whole = [reading for path, reading in looks if not path]
        if model and (model.constrained or whole):
            try:
                instance = model.model_validate(example)
            except ValidationError as error:
                self._impossible(reason_of(error), alive)
                return None
            seen |= {(((), reading), reading(instance)) for reading in whole}
            idle = model.idle(example)
        return _Outcome(
            sight=frozenset(seen),
            example=example,
            count=math.prod(part.count for key, part in parts.items() if key not in idle),
            assignments=math.prod(part.assignments for part in parts.values()),
            alive=alive,
        )

    def _impossible(self, reason: str, values: frozenset[Value]) -> None:
        """Of values that are impossible to several models, the outermost one's reason stays."""
        self.why.append(reason)
        self.reasons.update(dict.fromkeys(values, reason))


def _rules(model: type[Frozen] | None) -> Mapping[str, Reading]:
    return model.constrained if model else {}


def _has_rules(node: Node) -> bool:
    match node:
        case Group():
            return bool(_rules(node.model)) or any(map(_has_rules, node.fields.values()))
        case Branch():
            return any(map(_has_rules, (*node.options.values(), node.shared)))
        case _:
            return False


def _within(looks: Looks, key: str) -> Looks:
    return frozenset((path[1:], reading) for path, reading in looks if path[:1] == (key,))


def _sight(looks: Looks, value: Any) -> Sight:
    return frozenset(((path, reading), reading(value)) for path, reading in looks)


def _with(outcome: _Outcome, alive: frozenset[Value]) -> _Outcome:
    return _Outcome(outcome.sight, outcome.example, outcome.count, outcome.assignments, alive)


def _merged(outcomes: Iterable[_Outcome]) -> list[_Outcome]:
    """One outcome for each sight."""
    by_sight: dict[Sight, list[_Outcome]] = {}
    for outcome in outcomes:
        by_sight.setdefault(outcome.sight, []).append(outcome)
    return [
        _Outcome(
            sight,
            alike[0].example,
            sum(outcome.count for outcome in alike),
            sum(outcome.assignments for outcome in alike),
            frozenset[Value]().union(*(outcome.alive for outcome in alike)),
        )
        for sight, alike in by_sight.items()
    ]


def reason_of(error: ValidationError) -> str:
    """The messages of a candidate's validators on one line."""
    return "; ".join(line["msg"].removeprefix("Value error, ") for line in error.errors())


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


def _meet(one: Node | None, other: Node | None) -> bool:
    """Whether two nodes of the same candidate field can have the same value; None: a key without a default."""
    if isinstance(one, Branch):
        return any(_meet(one.option(label), other) for label in one.options)
    if isinstance(other, Branch):
        return _meet(other, one)
    if one is None and other is None:
        return True
    if isinstance(one, Group) or isinstance(other, Group):
        one, other = (node if isinstance(node, Group) else Group({}) for node in (one, other))
        keys = dict.fromkeys((*one.fields, *other.fields))
        model = one.model or other.model
        return all(_meet(_under(one, key, model), _under(other, key, model)) for key in keys)
    return one is not None and other is not None and overlap(_domain(one), _domain(other))


def _under(group: Group, key: str, model: type[Frozen] | None) -> Node | None:
    """What stands under a key, or what its absence says."""
    if key in group.fields:
        return group.fields[key]
    if model is None or key not in model.model_fields:
        return None
    if key in model.neutral:
        return fixed(model.neutral[key])
    if model.model_fields[key].is_required():
        return None
    default = model.model_fields[key].get_default()
    return (
        None if default is None else fixed(default.model_dump() if isinstance(default, Frozen) else default)
    )


def _domain(node: Node) -> Domain:
    match node:
        case Fixed():
            return Options((node.value,))
        case Parameter():
            return node.domain
        case _:
            raise TypeError(f"{type(node).__name__} stands where its counterpart is a single value")
