"""Scores from other packages: loaded by their import path, and held to what a search relies on."""

import math
import re
from collections.abc import Mapping
from itertools import pairwise, product
from typing import Any, Final

from sweep.importing import NotImportable, imported
from sweep.judging.score import FINAL_SCORE, Score

SI_RMSES: Final = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 1.0)
LATENCIES_MS: Final = (0.5, 1.0, 5.0, 20.0, 50.0, 100.0, 300.0, 1000.0)
"""With `SI_RMSES` the grid on which a score is checked: from better than any network to worse than all."""

LONGEST_NAME: Final = 32
_TAKEN: Final = frozenset(
    {
        "final_score",
        "score",
        "si_rmse",
        "rmse",
        "log10",
        "rel",
        "runtime_ms",
        "runtime_low_ms",
        "runtime_high_ms",
        "latency_ms",
        "size_mb",
        "train_loss",
        "learning_rate",
    }
)
_ALLOWED: Final = (
    "a class without arguments with name: str and __call__(si_rmse: float, latency_ms: float) -> float"
)


class ScoreError(ValueError):
    """A score that cannot be used; says which, what was found and what is allowed."""

    def __init__(self, path: str, found: str, allowed: str) -> None:
        super().__init__(f"{path}: found {found}; allowed: {allowed}")
        self.found = found
        self.allowed = allowed


def load_score(path: str) -> Score:
    """The score of the class at ``path``, checked on a grid.

    Args:
        path: ``package.module:Class``.

    Raises:
        ScoreError: there is no such class; its name is taken, too long or none; or on the grid it is not finite,
            rises with si-RMSE or latency, or does not depend on one of them.
    """
    score = _made(path)
    _check_name(path, score.name)
    _check_values(path, score)
    return score


def recorded_score(identity: Mapping[str, Any]) -> Score:
    """The score by which a sweep of ``identity`` was searched.

    Raises:
        ScoreError: it is one of another package, which cannot be loaded here.
    """
    own = identity.get("score")
    return FINAL_SCORE if own is None else load_score(own["class"])


def score_identity(path: str, score: Score) -> dict[str, str]:
    """What a sweep's identity holds of a score of another package; see `recorded_score`."""
    return {"class": path, "name": score.name}


def score_key(name: str) -> str:
    """The name as a key of metrics: ``Edge Score`` becomes ``edge_score``."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _made(path: str) -> Score:
    try:
        factory = imported(path)
    except NotImportable as error:
        raise ScoreError(path, error.found, _ALLOWED) from error
    if not isinstance(factory, type):
        raise ScoreError(path, f"a {type(factory).__name__}", _ALLOWED)
    try:
        score = factory()
    except Exception as error:  # code of somebody else raises what it likes
        found = f"{type(error).__name__}: {error}"
        raise ScoreError(path, f"a class that cannot be made ({found})", _ALLOWED) from error
    if not isinstance(score, Score):
        missing = [part for part in ("name", "__call__") if not hasattr(score, part)]
        raise ScoreError(path, f"a class without {', '.join(missing)}", _ALLOWED)
    return score


def _check_name(path: str, name: object) -> None:
    allowed = f"up to {LONGEST_NAME} printable characters, with a letter or digit"
    if not (
        isinstance(name, str) and 0 < len(name) <= LONGEST_NAME and name.isprintable() and score_key(name)
    ):
        raise ScoreError(path, f"the name {name!r}", allowed)
    if score_key(name) in _TAKEN:
        raise ScoreError(path, f"the name {name!r}, which another figure has", allowed)


def _check_values(path: str, score: Score) -> None:
    values = {place: _value(path, score, *place) for place in product(SI_RMSES, LATENCIES_MS)}
    by_error = [[(si_rmse, latency_ms) for si_rmse in SI_RMSES] for latency_ms in LATENCIES_MS]
    by_latency = [[(si_rmse, latency_ms) for latency_ms in LATENCIES_MS] for si_rmse in SI_RMSES]
    for figure, lines in (("si_rmse", by_error), ("latency_ms", by_latency)):
        steps = [step for line in lines for step in pairwise(line)]
        for better, worse in steps:
            if values[worse] > values[better]:
                found = f"{_spelled(worse, values[worse])}, above {_spelled(better, values[better])}"
                raise ScoreError(path, found, f"scores that never rise with {figure}")
        if all(values[worse] == values[better] for better, worse in steps):
            raise ScoreError(path, f"no fall with {figure}", "scores that fall with it")


def _value(path: str, score: Score, si_rmse: float, latency_ms: float) -> float:
    allowed = "a finite number for every si_rmse of at least 0 and every latency_ms above 0"
    where = f"at si_rmse {si_rmse:g} and latency_ms {latency_ms:g}"
    try:
        value = score(si_rmse, latency_ms)
    except Exception as error:  # code of somebody else raises what it likes
        found = f"an error {where} ({type(error).__name__}: {error})"
        raise ScoreError(path, found, allowed) from error
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ScoreError(path, f"{value!r} {where}", allowed)
    return float(value)


def _spelled(place: tuple[float, float], value: float) -> str:
    return f"{value:g} at si_rmse {place[0]:g} and latency_ms {place[1]:g}"
