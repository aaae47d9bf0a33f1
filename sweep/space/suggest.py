"""Sources of values for a space."""

import math
import random
from collections.abc import Mapping, Sequence

from sweep.space.domain import Primitive, Suggest


class RandomSuggest:
    """Implements `sweep.space.Suggest`: independent draws, uniform, or uniform in the logarithm.

    Equal seeds give equal draws. Logarithmic integers follow Optuna: the interval is widened by one half on
    each side before rounding, so that the end points get their share.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def categorical(self, name: str, options: Sequence[Primitive]) -> Primitive:
        return self._random.choice(options)

    def integer(self, name: str, low: int, high: int, step: int, log: bool) -> int:
        if not log:
            return self._random.randrange(low, high + 1, step)
        return min(max(round(self._log_uniform(low - 0.5, high + 0.5)), low), high)

    def real(self, name: str, low: float, high: float, log: bool) -> float:
        drawn = self._log_uniform(low, high) if log else self._random.uniform(low, high)
        return min(max(drawn, low), high)

    def _log_uniform(self, low: float, high: float) -> float:
        return math.exp(self._random.uniform(math.log(low), math.log(high)))


class FixedSuggest:
    """Implements `sweep.space.Suggest`: keeps to fixed values, and asks somebody else for the rest."""

    def __init__(self, fixed: Mapping[str, Primitive], otherwise: Suggest) -> None:
        self._fixed = fixed
        self._otherwise = otherwise

    def categorical(self, name: str, options: Sequence[Primitive]) -> Primitive:
        return self._fixed[name] if name in self._fixed else self._otherwise.categorical(name, options)

    def integer(self, name: str, low: int, high: int, step: int, log: bool) -> int:
        if name in self._fixed:
            return int(self._fixed[name])
        return self._otherwise.integer(name, low, high, step, log)

    def real(self, name: str, low: float, high: float, log: bool) -> float:
        if name in self._fixed:
            return float(self._fixed[name])
        return self._otherwise.real(name, low, high, log)
