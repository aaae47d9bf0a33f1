"""Who proposes candidates: from a sampler's settings to a proposer."""

from collections.abc import Sequence

from sweep.judging.score import FINAL_SCORE, Score
from sweep.search.optuna_proposer import OptunaProposer
from sweep.search.ports import Proposes, SearchSpace, Start
from sweep.search.samplers import method_of
from sweep.space.constraint import Constraint
from sweep.space.samplers import CompositeSampler, Sampler


def make_proposer(
    space: SearchSpace,
    settings: Sampler,
    seed: int,
    *,
    max_epochs: int,
    starts: Sequence[Start] = (),
    constraints: Sequence[Constraint] = (),
    score: Score = FINAL_SCORE,
) -> Proposes:
    """The proposer that ``settings`` names.

    Args:
        space: the search space.
        settings: a sampler with its options.
        seed: the sweep's seed, at least 0.
        max_epochs: full fidelity.
        starts: candidates to propose first; what they leave open is drawn by the sampler.
        constraints: limits that candidates should keep; samplers learn from those that do not.
        score: what is maximised.

    Raises:
        SamplerRefused: the sampler cannot serve the space.
    """
    if isinstance(settings, CompositeSampler):
        return _composite(space, settings, seed, max_epochs, starts, constraints, score)
    return OptunaProposer(space, method_of(space, settings, seed, constraints), seed, starts)


def _composite(
    space: SearchSpace,
    settings: CompositeSampler,
    seed: int,
    max_epochs: int,
    starts: Sequence[Start],
    constraints: Sequence[Constraint],
    score: Score,
) -> Proposes:
    from sweep.search.composite import CompositeProposer, CompositeSettings  # SciPy: only where it is used

    options = CompositeSettings(startup_trials=settings.startup_trials, pool=settings.pool)
    return CompositeProposer(
        space, options, seed, max_epochs=max_epochs, starts=starts, constraints=constraints, score=score
    )
