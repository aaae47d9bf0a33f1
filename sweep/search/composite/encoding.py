"""Numbers for assignments: code rows that candidates are drawn and changed in, and features for kernels.

A *code row* has one number per parameter of the space, in the space's order: an option's index, or the place
of an integer or real in its range from 0 to 1 (in the logarithm where the range is logarithmic); NaN while
the choice that opens the parameter has another value.

*Features* are what kernels see. Unlike options are at distance 1. Options that are numbers are spread over
[-1/2, 1/2] by rank. Integers and reals are, too, by their place in the range, and have a second feature: the
parabola 4 u^2 - 1/3 of that place u, whose mean over the range is 0. With it a kernel's linear part alone can
say that the best value lies within the range, as it does for most of a recipe's. A closed parameter sits at 0,
as far from both ends: the choice that closed it tells the rows apart.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from sweep.lifecycle import Trial
from sweep.space import Assignment, IntegerRange, Options, Parameter, Primitive, RealRange

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

_SAME_DIGITS = 9
"""Code rows that agree to this many digits spell the same candidate."""


@dataclass(frozen=True)
class Encoding:
    """The code of one space.

    Attributes:
        parameters: the space's, each after the choice that opens it.
    """

    parameters: tuple[Parameter, ...]

    def encode(self, assignments: Sequence[Mapping[str, Primitive]]) -> Floats:
        """Code rows, (assignments, parameters)."""
        codes = np.full((len(assignments), len(self.parameters)), math.nan)
        for row, assignment in zip(codes, assignments, strict=True):
            for column, parameter in enumerate(self.parameters):
                if parameter.path in assignment:
                    row[column] = _code(parameter, assignment[parameter.path])
        return codes

    def decode(self, row: Floats) -> Assignment:
        """The complete assignment of one code row."""
        pairs = zip(self.parameters, row.tolist(), strict=True)
        return {p.path: _value(p, code) for p, code in pairs if not math.isnan(code)}

    def draw(self, rng: np.random.Generator, count: int) -> Floats:
        """``count`` code rows whose values are drawn as `sweep.space.RandomSuggest` draws them.

        No parameter is closed yet: every one has a value for the case that it exists (see `close`).
        """
        return np.stack([_draw(parameter, rng, count) for parameter in self.parameters], axis=1)

    def nudge(self, rng: np.random.Generator, codes: Floats, step: float) -> Floats:
        """``codes`` with integers and reals moved by normal steps of ``step`` of their range; options stay."""
        moved = np.clip(codes + step * rng.standard_normal(codes.shape), 0.0, 1.0)
        columns = [
            codes[:, column] if isinstance(p.domain, Options) else _on_grid(p, moved[:, column])
            for column, p in enumerate(self.parameters)
        ]
        return np.stack(columns, axis=1)

    def close(self, codes: Floats) -> Floats:
        """``codes`` with NaN for each parameter whose choice has another value."""
        codes = codes.copy()
        for column, opener, option in self._conditions():
            codes[codes[:, opener] != option, column] = math.nan
        return codes

    def keys(self, codes: Floats, prefix: str = "") -> list[bytes]:
        """One key per row, equal where the parameters whose path starts with ``prefix`` have equal values."""
        columns = [column for column, p in enumerate(self.parameters) if p.path.startswith(prefix)]
        chosen = np.nan_to_num(codes[:, columns], nan=-1.0).round(_SAME_DIGITS) + 0.0
        return [row.tobytes() for row in chosen]

    def features(self, codes: Floats, prefix: str = "") -> Floats:
        """Features of the parameters whose path starts with ``prefix``, (rows, features)."""
        plan = self._plan
        chosen = self._chosen(prefix)
        values = codes[:, plan.columns[chosen]]
        places = values / plan.spans[chosen] - 0.5
        parabolas = 4 * places**2 - 1 / 3
        matches = (values == plan.options[chosen]) * math.sqrt(0.5)
        forms = plan.forms[chosen]
        return np.nan_to_num(np.where(forms == _MATCH, matches, np.where(forms == _PLACE, places, parabolas)))

    def groups(self, prefix: str = "") -> Indices:
        """For each feature of `features`, the index of its parameter among those with the prefix."""
        columns = self._plan.columns[self._chosen(prefix)]
        return np.asarray(np.unique(columns, return_inverse=True)[1])

    def _chosen(self, prefix: str) -> npt.NDArray[np.bool_]:
        """Which features belong to parameters whose path starts with ``prefix``."""
        matching = np.array([p.path.startswith(prefix) for p in self.parameters], dtype=np.bool_)
        return matching[self._plan.columns]

    @cached_property
    def _plan(self) -> "_Plan":
        entries = [(column, *form) for column, p in enumerate(self.parameters) for form in _forms(p)]
        columns, forms, options, spans = zip(*entries, strict=True) if entries else ((), (), (), ())
        return _Plan(
            np.array(columns, dtype=np.intp), np.array(forms), np.array(options), np.array(spans, dtype=float)
        )

    def _conditions(self) -> list[tuple[int, int, int]]:
        """(column, column of its choice, index of the option that opens it), in the space's order."""
        columns = {parameter.path: column for column, parameter in enumerate(self.parameters)}
        found = []
        for column, parameter in enumerate(self.parameters):
            if parameter.condition is not None:
                opener = columns[parameter.condition.path]
                choice = self.parameters[opener]
                found.append((column, opener, int(_code(choice, parameter.condition.option))))
        return found


class Coded:
    """Code rows of trials, computed once per trial; one object serves one sweep."""

    def __init__(self, encoding: Encoding) -> None:
        self.encoding = encoding
        self._rows: dict[str, Floats] = {}

    def rows(self, trials: Sequence[Trial]) -> Floats:
        """Code rows, (trials, parameters)."""
        for trial in trials:
            if trial.candidate_hash not in self._rows:
                self._rows[trial.candidate_hash] = self.encoding.encode([trial.assignment])[0]
        if not trials:
            return np.empty((0, len(self.encoding.parameters)))
        return np.stack([self._rows[trial.candidate_hash] for trial in trials])


def _code(parameter: Parameter, value: Primitive) -> float:
    domain = parameter.domain
    value = domain.coerce(value)
    if isinstance(domain, Options):
        return float(domain.values.index(value))
    low, high = _ends(domain)
    place = math.log(float(value)) if domain.log else float(value)
    return 0.0 if high == low else (place - low) / (high - low)


def _value(parameter: Parameter, code: float) -> Primitive:
    domain = parameter.domain
    if isinstance(domain, Options):
        return domain.values[int(code)]
    low, high = _ends(domain)
    place = low + code * (high - low)
    number = math.exp(place) if domain.log else place
    if isinstance(domain, IntegerRange):
        steps = round((number - domain.low) / domain.step)
        return min(max(domain.low + steps * domain.step, domain.low), domain.high)
    return min(max(number, domain.low), domain.high)


def _ends(domain: IntegerRange | RealRange) -> tuple[float, float]:
    return (math.log(domain.low), math.log(domain.high)) if domain.log else (domain.low, domain.high)


def _draw(parameter: Parameter, rng: np.random.Generator, count: int) -> Floats:
    domain = parameter.domain
    if isinstance(domain, Options):
        return rng.integers(domain.size, size=count).astype(np.float64)
    if isinstance(domain, RealRange):
        return rng.random(count)
    if not domain.log:
        return rng.integers(domain.size, size=count) / max(domain.size - 1, 1)
    # As Optuna and RandomSuggest: the interval is widened by one half on each side before rounding.
    drawn = np.exp(rng.uniform(math.log(domain.low - 0.5), math.log(domain.high + 0.5), size=count))
    return _integer_codes(domain, np.clip(np.rint(drawn), domain.low, domain.high))


def _on_grid(parameter: Parameter, codes: Floats) -> Floats:
    """Codes moved to the nearest value that exists."""
    domain = parameter.domain
    if not isinstance(domain, IntegerRange):
        return codes
    low, high = _ends(domain)
    place = low + codes * (high - low)
    numbers = np.exp(place) if domain.log else place
    return _integer_codes(domain, domain.low + domain.step * np.rint((numbers - domain.low) / domain.step))


def _integer_codes(domain: IntegerRange, numbers: Floats) -> Floats:
    low, high = _ends(domain)
    place = np.log(numbers) if domain.log else numbers
    return (place - low) / (high - low) if high > low else np.zeros_like(numbers)


_MATCH, _PLACE, _PARABOLA = range(3)


@dataclass(frozen=True)
class _Plan:
    """How each feature follows from a code row; one entry each.

    Attributes:
        columns: the code that it looks at.
        forms: 1 over the square root of 2 where the code is an option's (match), the place in the range, or the
            place's parabola.
        options: what a match looks for.
        spans: the highest code, for places.
    """

    columns: Indices
    forms: npt.NDArray[np.int_]
    options: npt.NDArray[np.int_]
    spans: Floats


def _forms(parameter: Parameter) -> list[tuple[int, int, float]]:
    """(form, option, span) of each feature of a parameter."""
    domain = parameter.domain
    if not isinstance(domain, Options):
        return [(_PLACE, 0, 1.0), (_PARABOLA, 0, 1.0)]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in domain.values):
        return [(_PLACE, 0, float(max(domain.size - 1, 1)))]  # the space lists numbers in ascending order
    return [(_MATCH, option, 1.0) for option in range(domain.size)]
