"""The composite sampler with one of its parts switched off, by exchanging what the part is made of.

The product has no switches for these: a switch would have to be kept and tested for the benchmark alone.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final
from unittest.mock import patch

import numpy as np
import numpy.typing as npt

from sweep.lifecycle import Trial
from sweep.search.composite import encoding, model, pool

Floats = npt.NDArray[np.float64]
Switch = Callable[[], AbstractContextManager[Any]]

everything: Final[Switch] = nullcontext
"""No part is off."""


def _score_curve(trial: Trial) -> tuple[Floats, Floats]:
    """The si-RMSE that would give the same score at a latency of 1 ms: the score itself as a black box."""
    epochs, ln_si_rmse = _CURVE_OF(trial)
    si_rmse = np.exp(ln_si_rmse) - _LN_LATENCY_MS(trial) / model.SCORE_PER_SI_RMSE
    return epochs, np.log(np.maximum(si_rmse, 1e-6))


def _score_modelled_at_once() -> AbstractContextManager[Any]:
    return patch.multiple(model, curve_of=_score_curve, ln_latency_ms=lambda _: 0.0)


def _without_parabolas() -> AbstractContextManager[Any]:
    def forms(parameter: Any) -> list[tuple[int, int, float]]:
        return [form for form in _FORMS(parameter) if form[0] != encoding._PARABOLA]

    return patch.object(encoding, "_forms", forms)


def _last_epoch(trial: Trial) -> tuple[Floats, Floats]:
    """The last value only, as if it were that of full fidelity."""
    _, values = _CURVE_OF(trial)
    return np.array([float(trial.max_epochs)]), values[-1:]


def _without_learning_curves() -> AbstractContextManager[Any]:
    return patch.object(model, "curve_of", _last_epoch)


def _with_a_random_pool() -> AbstractContextManager[Any]:
    def draws(codes: encoding.Encoding, rng: np.random.Generator, _: Floats, count: int) -> Floats:
        return pool.random_rows(codes, rng, count)

    return patch.object(pool, "changed_rows", draws)


_CURVE_OF: Final = model.curve_of
_LN_LATENCY_MS: Final = model.ln_latency_ms
_FORMS: Final = encoding._forms

PARTS: Final[Mapping[str, Switch]] = {
    "score-at-once": _score_modelled_at_once,
    "no-curves": _without_learning_curves,
    "no-parabolas": _without_parabolas,
    "random-pool": _with_a_random_pool,
}
"""What is switched off, by name."""
