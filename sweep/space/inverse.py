"""From a candidate back to the assignment that spells it in a space."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from sweep.space.assignment import Assignment
from sweep.space.candidate import Candidate, Frozen
from sweep.space.domain import Parameter, Primitive
from sweep.space.problems import Problem, SpaceError, show
from sweep.space.tree import Branch, Fixed, Group, Node, resolve

FieldPath = tuple[str, ...]

#: Stands for a key that the candidate does not have, because it says nothing or is left at a default of nothing.
_ABSENT = object()


def assignment_of(tree: Node, candidate: Candidate, file: str) -> Assignment:
    """The complete assignment that spells ``candidate`` in the space ``tree``.

    A parameter that changes nothing in this candidate, such as one of a stage that is cut off, gets the first of
    its values that does so.

    Args:
        tree: the space.
        candidate: what to spell.
        file: the space's name, for problems.

    Raises:
        SpaceError: the first key whose value the space cannot express.
    """
    values = candidate.model_dump(mode="json")
    try:
        return dict(_Inverse(candidate, values).of(tree, values, (), Candidate))
    except _Inexpressible as misfit:
        raise SpaceError([Problem(file, ".".join(misfit.path), misfit.found, misfit.allowed)]) from None


class _Inexpressible(Exception):
    def __init__(self, path: FieldPath, found: str, allowed: str) -> None:
        self.path, self.found, self.allowed = path, found, allowed


Chosen = Iterator[tuple[str, Primitive]]


@dataclass(frozen=True)
class _Inverse:
    candidate: Candidate
    values: Mapping[str, Any]

    def of(self, node: Node, value: Any, at: FieldPath, model: type[Frozen] | None = None) -> Chosen:
        """Parameters below ``node`` with the values that give ``value`` at the field ``at``."""
        if value is _ABSENT and (silent := self._silent(node, at)) is not None:
            yield from silent.items()
            return
        match node:
            case Fixed() if not _equal(node.value, value):
                raise _Inexpressible(at, _show(value), show(node.value))
            case Parameter():
                yield node.path, self._choice(node, value, at)
            case Group():
                yield from self._of_group(node, value, at, node.model or model)
            case Branch():
                yield from self._of_branch(node, value, at)

    def _of_group(self, group: Group, value: Any, at: FieldPath, model: type[Frozen] | None) -> Chosen:
        if value is not _ABSENT and not isinstance(value, Mapping):
            raise _Inexpressible(at, _show(value), "a mapping")
        given: Mapping[str, Any] = value if isinstance(value, Mapping) else {}
        for key in given:
            if key not in group.fields and given[key] != _default(model, key):
                raise _Inexpressible((*at, key), _show(given[key]), "nothing: this space leaves the key out")
        for key, child in group.fields.items():
            there = given[key] if key in given else _default(model, key)
            yield from self.of(child, there, (*at, key))

    def _of_branch(self, branch: Branch, value: Any, at: FieldPath) -> Chosen:
        misfits = []
        for label in branch.options:
            try:
                below = tuple(self.of(branch.option(label), value, at))
            except _Inexpressible as misfit:
                misfits.append(misfit)
                continue
            yield branch.parameter.path, label
            yield from below
            return
        raise _closest(misfits, branch, value, at)

    def _choice(self, parameter: Parameter, value: Any, at: FieldPath) -> Primitive:
        """The parameter's value that gives ``value``."""
        try:
            return parameter.domain.coerce(value)
        except ValueError as error:
            raise _Inexpressible(at, _show(value), str(error)) from None

    def _silent(self, node: Node, at: FieldPath) -> Assignment | None:
        """Values of the parameters below ``node`` with which it says nothing of this candidate, if one finds them.

        Fixed values, the parameters' first values together, and each value of a single parameter are tried.
        """
        tries: list[Assignment] = [{}]
        if isinstance(node, Parameter):
            tries = [{node.path: value} for value in (*_neutral(node), *node.domain.examples())]
        for chosen in tries:
            assignment: Assignment = dict(chosen)

            def value_of(parameter: Parameter, assignment: Assignment = assignment) -> Primitive:
                return assignment.setdefault(parameter.path, next(iter(parameter.domain.examples())))

            if self._says_nothing(at, resolve(node, value_of)):
                return assignment
        return None

    def _says_nothing(self, at: FieldPath, value: Any) -> bool:
        """Whether the candidate is the same with ``value`` at the field ``at``."""
        try:
            return Candidate.model_validate(_with(self.values, at, value)) == self.candidate
        except ValidationError:
            return False


def _closest(misfits: list[_Inexpressible], branch: Branch, value: Any, at: FieldPath) -> _Inexpressible:
    """The error of a choice of which no option fits: that of the only option in question, if there is one."""
    of_other_kinds = [misfit for misfit in misfits if misfit.path == (*at, "kind")]
    others = [misfit for misfit in misfits if misfit.path != (*at, "kind")]
    if others and len({(misfit.path, misfit.allowed) for misfit in others}) == 1:
        return others[0]
    if of_other_kinds and not others:
        found = value.get("kind", _ABSENT) if isinstance(value, Mapping) else value
        return _Inexpressible((*at, "kind"), _show(found), str(branch.parameter.domain))
    return _Inexpressible(at, _show(value), str(branch.parameter.domain))


def _neutral(parameter: Parameter) -> Iterator[Primitive]:
    """What multipliers, which may be ranges, say nothing with."""
    with suppress(ValueError):
        yield parameter.domain.coerce(1.0)


def _default(model: type[Frozen] | None, key: str) -> Any:
    """What an absent key stands for, as a candidate's data has it."""
    if model is None or key not in model.model_fields or model.model_fields[key].is_required():
        return _ABSENT
    default = model.model_fields[key].get_default()
    if default is None:
        return _ABSENT
    return default.model_dump(mode="json") if isinstance(default, Frozen) else default


def _with(values: Mapping[str, Any], at: FieldPath, value: Any) -> dict[str, Any]:
    """Nested mappings with another value at a path."""
    key, *rest = at
    inner = _with(values.get(key) or {}, tuple(rest), value) if rest else value
    return {**values, key: inner}


def _equal(one: Primitive, value: Any) -> bool:
    return bool(one == value) and isinstance(one, bool) == isinstance(value, bool)


def _show(value: Any) -> str:
    return "nothing" if value is _ABSENT else show(value)
