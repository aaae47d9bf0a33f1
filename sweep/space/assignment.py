"""Checks assignments: flat mappings from parameter paths to values."""

import difflib
from collections.abc import Iterable, Iterator, Mapping

from sweep.space.domain import Parameter, Primitive
from sweep.space.problems import Problem, show

Assignment = dict[str, Primitive]


def misfits(
    parameters: Iterable[Parameter],
    assignment: Mapping[str, object],
    file: str,
    *,
    prefix: str = "",
    partial: bool = False,
) -> list[Problem]:
    """What is unknown, out of its domain, present while closed, or (unless ``partial``) missing.

    Args:
        parameters: each after the choice that opens it.
        assignment: values by path.
        file: the space's name, for the problems.
        prefix: stands before the paths in the problems.
        partial: parameters may be left open; what a choice opens still needs the choice itself.
    """
    parameters = tuple(parameters)
    wrong: list[Problem] = []
    existing: set[str] = set()
    for parameter in parameters:
        path = parameter.path
        if _is_open(parameter, assignment, existing):
            existing.add(path)
            wrong += [Problem(file, prefix + path, *pair) for pair in _misfit(parameter, assignment, partial)]
        elif path in assignment:
            allowed = f"this parameter only with {parameter.condition}"
            wrong.append(Problem(file, prefix + path, show(assignment[path]), allowed))
    known = [parameter.path for parameter in parameters]
    for path in assignment:
        if path not in known:
            wrong.append(Problem(file, f"{prefix}{path}", "an unknown parameter", _closest(known, str(path))))
    return wrong


def coerced(parameters: Iterable[Parameter], assignment: Mapping[str, Primitive]) -> Assignment:
    """A fitting assignment with every value as its domain holds it (3 becomes 3.0), in tree order."""
    return {p.path: p.domain.coerce(assignment[p.path]) for p in parameters if p.path in assignment}


def _is_open(parameter: Parameter, assignment: Mapping[str, object], existing: set[str]) -> bool:
    condition = parameter.condition
    return condition is None or (
        condition.path in existing and assignment.get(condition.path) == condition.option
    )


def _misfit(
    parameter: Parameter, assignment: Mapping[str, object], partial: bool
) -> Iterator[tuple[str, str]]:
    """(found, allowed) when the parameter's value is missing or out of its domain."""
    if parameter.path not in assignment:
        if not partial:
            yield "nothing", str(parameter.domain)
        return
    value = assignment[parameter.path]
    try:
        parameter.domain.coerce(value)
    except ValueError as error:
        yield show(value), str(error)


def _closest(known: list[str], path: str) -> str:
    close = difflib.get_close_matches(path, known, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    return f"the space's {len(known)} parameters{hint}"
