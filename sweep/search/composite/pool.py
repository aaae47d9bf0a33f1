"""The pool: code rows of which one is proposed; random draws, and changed copies of the best."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sweep.search.composite.acquisition import ln_expected_improvement
from sweep.search.composite.encoding import Encoding
from sweep.search.composite.model import ScoreModel
from sweep.search.composite.settings import CompositeSettings

Floats = npt.NDArray[np.float64]

_STEP = 0.08
"""Standard deviation of a nudge, as a share of the range."""


def random_rows(encoding: Encoding, rng: np.random.Generator, count: int) -> Floats:
    """Independent draws, as the space's own random candidates."""
    return encoding.close(encoding.draw(rng, count))


def changed_rows(encoding: Encoding, rng: np.random.Generator, parents: Floats, count: int) -> Floats:
    """Copies of ``parents``, each with one or a few parameters drawn anew, or its numbers nudged.

    A choice that is drawn anew opens parameters, which are drawn with it.
    """
    base = parents[rng.integers(len(parents), size=count)]
    fresh = encoding.draw(rng, count)
    nudged = encoding.nudge(rng, np.where(np.isnan(base), fresh, base), _STEP)
    fresh = np.where(rng.random(base.shape) < 0.5, nudged, fresh)
    open_parameters = np.maximum((~np.isnan(base)).sum(axis=1, keepdims=True), 1)
    changes = rng.geometric(0.5, size=(count, 1))
    change = rng.random(base.shape) < changes / open_parameters
    return encoding.close(np.where(change | np.isnan(base), fresh, base))


@dataclass(frozen=True)
class Promise:
    """How promising candidates are.

    Attributes:
        model: what is believed of scores.
        pending: code rows of candidates under way.
        exploration: factor on the deviation of what is believed, above 0.
    """

    model: ScoreModel
    pending: Floats
    exploration: float

    def of(self, rows: Floats) -> Floats:
        """ln of each row's expected improvement of the utility, times its chance to work."""
        belief = self.model.predict(rows, self.pending)
        deviation = self.exploration * belief.gain_deviation
        return ln_expected_improvement(belief.gain, deviation, 0.0) + belief.ln_works


def most_promising(
    encoding: Encoding, promise: Promise, settings: CompositeSettings, rng: np.random.Generator
) -> Floats:
    """The pool, the most promising code row first.

    A third of it is random, a third changes the best trials, and a third the most promising of both.
    """
    model, third = promise.model, settings.pool // 3
    parents = model.codes[np.argsort(-model.scores, kind="stable")[: settings.parents]]
    first = np.concatenate([random_rows(encoding, rng, third), changed_rows(encoding, rng, parents, third)])
    values = promise.of(first)
    best = first[np.argsort(-values, kind="stable")[: settings.parents]]
    last = changed_rows(encoding, rng, best, third)
    values = np.concatenate([values, promise.of(last)])
    return np.asarray(np.concatenate([first, last])[np.argsort(-values, kind="stable")])
