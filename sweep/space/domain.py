"""Domains: the values that one parameter may take, as plain data."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeGuard

Primitive = str | int | float | bool


class Suggest(Protocol):
    """Whoever chooses values: a random generator, an optimiser's trial, a fixed list of values."""

    def categorical(self, name: str, options: Sequence[Primitive]) -> Primitive:
        """One of ``options``."""

    def integer(self, name: str, low: int, high: int, step: int, log: bool) -> int:
        """One of ``low, low + step, ..., high``; ``log``: uniform in the logarithm (``step`` is then 1)."""

    def real(self, name: str, low: float, high: float, log: bool) -> float:
        """A number from ``low`` to ``high``, both included; ``log``: uniform in the logarithm."""


@dataclass(frozen=True)
class Options:
    """Distinct values of one type, in canonical order."""

    values: tuple[Primitive, ...]
    kind: Literal["categorical"] = "categorical"

    @property
    def size(self) -> int:
        """Number of values."""
        return len(self.values)

    def coerce(self, value: object) -> Primitive:
        """The option equal to ``value`` (3 finds 3.0, never true); ValueError when there is none."""
        for option in self.values:
            if option == value and isinstance(option, bool) == isinstance(value, bool):
                return option
        raise ValueError(str(self))

    def ask(self, suggest: Suggest, name: str) -> Primitive:
        return suggest.categorical(name, self.values)

    def examples(self) -> Iterator[Primitive]:
        """Every value."""
        return iter(self.values)

    def __str__(self) -> str:
        return ", ".join(str(v).lower() if isinstance(v, bool) else str(v) for v in self.values)


@dataclass(frozen=True)
class IntegerRange:
    """``low, low + step, ..., high``; ``high`` is on the grid. ``log`` needs step 1 and low >= 1."""

    low: int
    high: int
    step: int = 1
    log: bool = False
    kind: Literal["integer"] = "integer"

    @property
    def size(self) -> int:
        """Number of values."""
        return (self.high - self.low) // self.step + 1

    def coerce(self, value: object) -> int:
        """``value`` as an integer of the range (3.0 is 3, true is not 1); ValueError when it is outside."""
        if not (_is_number(value) and value in range(self.low, self.high + 1, self.step)):
            raise ValueError(str(self))
        return int(value)

    def ask(self, suggest: Suggest, name: str) -> int:
        return suggest.integer(name, self.low, self.high, self.step, self.log)

    def examples(self) -> Iterator[int]:
        """Every value."""
        return iter(range(self.low, self.high + 1, self.step))

    def __str__(self) -> str:
        step = f" in steps of {self.step}" if self.step != 1 else ""
        return f"integers from {self.low} to {self.high}{step}{', log' if self.log else ''}"


@dataclass(frozen=True)
class RealRange:
    """Numbers from ``low`` to ``high``, both included. ``log`` needs low > 0."""

    low: float
    high: float
    log: bool = False
    kind: Literal["real"] = "real"

    @property
    def size(self) -> float:
        """Infinite, unless the range is a single number."""
        return 1 if self.low == self.high else math.inf

    def coerce(self, value: object) -> float:
        """``value`` as a float of the range; ValueError when it is outside."""
        if not (_is_number(value) and self.low <= value <= self.high):
            raise ValueError(str(self))
        return float(value)

    def ask(self, suggest: Suggest, name: str) -> float:
        return suggest.real(name, self.low, self.high, self.log)

    def examples(self) -> Iterator[float]:
        """Both ends and the middle, which stand for all numbers in between."""
        return iter(dict.fromkeys((self.low, (self.low + self.high) / 2, self.high)))

    def __str__(self) -> str:
        return f"numbers from {self.low:g} to {self.high:g}{', log' if self.log else ''}"


Domain = Options | IntegerRange | RealRange


@dataclass(frozen=True)
class Condition:
    """A parameter exists only while the choice at ``path`` has the value ``option``."""

    path: str
    option: str

    def __str__(self) -> str:
        return f"{self.path}: {self.option}"


@dataclass(frozen=True)
class Parameter:
    """One searched value.

    Attributes:
        path: dotted name, unique in the space; under a choice it holds the option:
            ``recipe.optimizer.adamw.weight_decay``.
        domain: the values it may take.
        condition: the choice that opens it, itself a parameter; None: it always exists.
    """

    path: str
    domain: Domain
    condition: Condition | None = None

    @property
    def kind(self) -> Literal["categorical", "integer", "real"]:
        """How an optimiser should treat the values."""
        return self.domain.kind


def overlap(one: Domain, other: Domain) -> bool:
    """Whether a value lies in both domains."""
    if isinstance(one, RealRange) and isinstance(other, RealRange):
        return max(one.low, other.low) <= min(one.high, other.high)
    finite, any_domain = (other, one) if isinstance(one, RealRange) else (one, other)
    return any(_contains(any_domain, value) for value in finite.examples())


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _contains(domain: Domain, value: Primitive) -> bool:
    try:
        domain.coerce(value)
    except ValueError:
        return False
    return True
