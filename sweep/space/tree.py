"""The search space as a tree of plain data, and the one walk over it that everything else is made of."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sweep.space import forms
from sweep.space.domain import Condition, IntegerRange, Options, Parameter, Primitive, RealRange
from sweep.space.parts import Frozen


@dataclass(frozen=True)
class Fixed:
    """A value that the file fixes."""

    value: Primitive


@dataclass(frozen=True)
class Group:
    """Keys of a candidate model.

    Attributes:
        fields: what stands under each key that is given, in the model's order.
        model: whose keys they are; None: of several models, as those that a branch's options share.
    """

    fields: Mapping[str, "Node"]
    model: type[Frozen] | None = None


@dataclass(frozen=True)
class Branch:
    """A choice between mappings.

    Attributes:
        parameter: categorical; its values are the options' labels.
        options: what exists under each label only, in the order of the parameter's values.
        shared: what exists under every label.
    """

    parameter: Parameter
    options: Mapping[str, Group]
    shared: Group

    def option(self, label: str) -> Group:
        """Everything that exists under ``label``."""
        chosen = self.options[label]
        return Group({**chosen.fields, **self.shared.fields}, chosen.model)


Node = Fixed | Parameter | Group | Branch
Values = dict[str, Any]


def build(form: object, path: str, condition: Condition | None = None) -> Node:
    """The tree of a validated form.

    Options get a canonical order (values ascending, kinds as the candidate model lists them, labels by
    alphabet), so that the order in the file changes neither the space's hash nor what a seed draws.
    """
    match form:
        case forms.Group():
            return _group({**form.stated, **form.given()}, path, condition, form.candidate_model)
        case forms.Branch():
            return _branch(form, path, condition)
        case forms.Choose():
            return Parameter(path, Options(tuple(sorted(form.choose))), condition)
        case forms.IntRange():
            return Parameter(path, IntegerRange(*form.bounds, form.step, form.log), condition)
        case forms.FloatRange():
            return Parameter(path, RealRange(*form.bounds, form.log), condition)
        case str() | bool() | int() | float():
            return Fixed(form)
        case _:
            raise TypeError(f"{path}: {type(form).__name__} is no form of the search-space language")


def fixed(value: object) -> Node:
    """The tree of a value of which nothing is open: nested mappings of primitives."""
    if isinstance(value, Mapping):
        return Group({key: fixed(child) for key, child in value.items()})
    if isinstance(value, Primitive):
        return Fixed(value)
    raise TypeError(f"{type(value).__name__} is no value of a candidate")


def restricted_group(group: Group, assignment: Mapping[str, object]) -> Group:
    """The part of a group in which the parameters have the values that a fitting ``assignment`` gives some."""
    fields = {key: restricted(child, assignment) for key, child in group.fields.items()}
    return replace(group, fields=fields)


def restricted(node: Node, assignment: Mapping[str, object]) -> Node:
    """The part of a space in which the parameters have the values that a fitting ``assignment`` gives some."""
    match node:
        case Parameter() if node.path in assignment:
            return Fixed(node.domain.coerce(assignment[node.path]))
        case Group():
            return restricted_group(node, assignment)
        case Branch() if node.parameter.path in assignment:
            return restricted(node.option(str(assignment[node.parameter.path])), assignment)
        case Branch():
            options = {label: restricted_group(option, assignment) for label, option in node.options.items()}
            return replace(node, options=options, shared=restricted_group(node.shared, assignment))
        case _:
            return node


def _group(
    given: Mapping[str, object], path: str, condition: Condition | None, model: type[Frozen] | None = None
) -> Group:
    return Group({key: build(form, f"{path}.{key}", condition) for key, form in given.items()}, model)


def _branch(form: forms.Branch, path: str, condition: Condition | None) -> Branch:
    options: dict[str, Group] = {}
    shared = form.shared()
    for label, option in form.options().items():
        stated = {key: value for key, value in option.stated.items() if key not in shared}
        group = _group({**stated, **option.given()}, f"{path}.{label}", Condition(path, label))
        kind = {"kind": Fixed(label)} if form.by_kind else {}
        options[label] = Group({**kind, **group.fields}, option.candidate_model)
    parameter = Parameter(path, Options(tuple(options)), condition)
    return Branch(parameter, options, _group(shared, path, condition))


def parameters(node: Node) -> Iterator[Parameter]:
    """Every parameter, each after the choice that opens it."""
    match node:
        case Parameter():
            yield node
        case Group():
            for child in node.fields.values():
                yield from parameters(child)
        case Branch():
            yield node.parameter
            for option in node.options.values():
                yield from parameters(option)
            yield from parameters(node.shared)


def resolve(node: Node, value_of: Callable[[Parameter], Primitive]) -> Any:
    """The nested values of one candidate; ``value_of`` is asked only for parameters that exist.

    Choices are asked before what they open; the order is fixed by the candidate models.
    """
    match node:
        case Fixed():
            return node.value
        case Parameter():
            return value_of(node)
        case Group():
            return {key: resolve(child, value_of) for key, child in node.fields.items()}
        case Branch():
            return resolve(node.option(str(value_of(node.parameter))), value_of)


def canonical(node: Node) -> Any:
    """The node as JSON-able data, equal for equal spaces however they were spelled."""
    match node:
        case Fixed():
            return node.value
        case Parameter():
            return _canonical_domain(node)
        case Group():
            return {key: canonical(child) for key, child in node.fields.items()}
        case Branch():
            options = {label: canonical(option) for label, option in node.options.items()}
            return {"choose": options, "shared": canonical(node.shared)}


def _canonical_domain(parameter: Parameter) -> Values:
    match parameter.domain:
        case Options(values):
            return {"choose": list(values)}
        case IntegerRange(low, high, step, log):
            return {"int": [low, high], "step": step, "log": log}
        case RealRange(low, high, log):
            return {"float": [low, high], "log": log}
