"""All methods by name: the project's search, its variants with one part exchanged, and its rivals."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from sweep.search import AdmissionPolicy, Start
from sweep.space import RandomSuggest
from sweep.space.samplers import CompositeSampler, NSGA2Sampler, RandomSampler, TPESampler

from .methods import Method, Run
from .ours import Configuration, search
from .parts import PARTS
from .problems import MAX_EPOCHS, REDUCTION_FACTOR, RUNGS, Problem, make_problem

PRESETS: Final = 3
PRESETS_FROM: Final = 40
"""Presets are the best few of so many random candidates, on another instance of the same family."""


def presets(problem: Problem) -> tuple[Start, ...]:
    """Candidates that did well on a problem of the same kind: what a person would start from."""
    landscape, noise = problem.name.split("-")
    other = make_problem(landscape, noise, problem.seed + 1_000_000)
    draw = RandomSuggest(problem.seed)
    candidates = [other.space.random(draw) for _ in range(PRESETS_FROM)]
    candidates.sort(key=other.true_score, reverse=True)
    return tuple(Start(candidate.assignment, "start") for candidate in candidates[:PRESETS])


OURS: Final = Configuration(
    CompositeSampler(kind="composite"), rungs=(1, 3, 9, MAX_EPOCHS), reduction_factor=(2, 4)
)
"""The project's search as it is recommended; rungs and reduction factors were chosen on tuning seeds."""

ABLATIONS: Final[Mapping[str, Configuration]] = {
    "tpe": replace(OURS, sampler=TPESampler(kind="tpe")),
    "tpe-multivariate": replace(OURS, sampler=TPESampler(kind="tpe", multivariate=True, group=True)),
    "nsga2": replace(OURS, sampler=NSGA2Sampler(kind="nsga2")),
    "random-sampler": replace(OURS, sampler=RandomSampler(kind="random")),
    "rungs-by-4": replace(OURS, reduction_factor=4),
    "rungs-3-9-by-4": replace(OURS, rungs=RUNGS, reduction_factor=4),
    "rungs-3-9-by-3": replace(OURS, rungs=RUNGS, reduction_factor=REDUCTION_FACTOR),
    "no-rungs": replace(OURS, rungs=(MAX_EPOCHS,)),
    "hyperband": replace(OURS, hyperband=True),
    "lookahead-2": replace(OURS, lookahead=2),
    "extrapolation": replace(OURS, admission=AdmissionPolicy(extrapolation_risk=0.05)),
    "presets": replace(OURS, starts=presets),
    **{name: replace(OURS, parts=switch) for name, switch in PARTS.items()},
}
"""The project's search with one part exchanged, or off."""

ADMISSION: Final[Mapping[str, Configuration]] = {
    f"admission-{risk:g}": replace(OURS, admission=AdmissionPolicy(risk=risk)) for risk in (0.01, 0.05)
}
"""The project's search with admission at a stated risk."""


def _stock(
    problem: Problem,
    budget_s: float,
    grace_period: int = RUNGS[0],
    reduction_factor: float = REDUCTION_FACTOR,
) -> Run:
    from .rivals import compete
    from .stock_ray import StockRay  # Ray takes seconds to import

    ray = StockRay(problem.seed, grace_period=grace_period, reduction_factor=reduction_factor)
    return compete(ray, problem, budget_s)


def _optuna(problem: Problem, budget_s: float) -> Run:
    """TPE as it comes with successive halving, which did best of Optuna's pruners here."""
    from optuna.pruners import SuccessiveHalvingPruner
    from optuna.samplers import TPESampler as Sampler

    from .rivals import PlainOptuna, compete

    pruner = SuccessiveHalvingPruner(min_resource=RUNGS[0], reduction_factor=REDUCTION_FACTOR)
    return compete(PlainOptuna(Sampler(seed=problem.seed), pruner), problem, budget_s)


def _gp(problem: Problem, budget_s: float) -> Run:
    """A Gaussian process on the Final Score of full trainings, over a space made static for it."""
    from optuna.pruners import NopPruner
    from optuna.samplers import GPSampler

    from .rivals import PlainOptuna, compete

    rival = PlainOptuna(GPSampler(seed=problem.seed), NopPruner(), static=True)
    return compete(rival, problem, budget_s)


def _random(problem: Problem, budget_s: float) -> Run:
    """Random candidates, trained in full."""
    from optuna.pruners import NopPruner
    from optuna.samplers import RandomSampler as Sampler

    from .rivals import PlainOptuna, compete

    return compete(PlainOptuna(Sampler(seed=problem.seed), NopPruner()), problem, budget_s)


RIVALS: Final[Mapping[str, Method]] = {
    "stock": _stock,
    "stock-1-by-4": partial(_stock, grace_period=1, reduction_factor=4),
    "stock-3-by-4": partial(_stock, grace_period=3, reduction_factor=4),
    "optuna": _optuna,
    "gp": _gp,
    "random": _random,
}


def all_methods() -> dict[str, Method]:
    """Every method by name."""
    variants: dict[str, Callable[[Problem, float], Run]] = {
        name: partial(search, configuration)
        for name, configuration in {"ours": OURS, **ABLATIONS, **ADMISSION}.items()
    }
    return {**variants, **RIVALS}
