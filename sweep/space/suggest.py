"""A source of random values for a space."""

import math
import random
from collections.abc import Sequence

from sweep.space.domain import Primitive


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
