"""Samplers by name, with their options: who proposes candidates."""

from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from sweep.space.derive import kind_tag
from sweep.space.forms import Count, Explain, Form, Line, Share, fail

StartupTrials = Annotated[int, Field(ge=0, strict=True)]


class CompositeSampler(Form):
    """Composite Bayesian optimisation: si-RMSE and latency are modelled apart, the score follows exactly."""

    kind: Literal["composite"]
    startup_trials: StartupTrials = Field(
        default=8, description="Random trials before the models propose; start_from counts."
    )
    pool: Count = Field(default=600, description="Candidates of which the one to try is chosen.")


class TPESampler(Form):
    """Tree-structured Parzen estimator (Bergstra et al. 2011), after some random trials."""

    kind: Literal["tpe"]
    startup_trials: StartupTrials = Field(
        default=10, description="Random trials before the estimator proposes; start_from counts."
    )
    candidates: Count = Field(default=24, description="Draws of which the estimator proposes the best.")
    multivariate: bool = Field(
        default=False, strict=True, description="Model parameters jointly instead of one by one."
    )
    group: bool = Field(
        default=False,
        strict=True,
        description="Model jointly also what a choice opens, group by group; needs multivariate.",
    )

    @model_validator(mode="after")
    def _group_is_multivariate(self) -> Self:
        if self.group and not self.multivariate:
            fail(
                Line(("group",), "true without multivariate", "multivariate: true beside it, or group: false")
            )
        return self


class GPSampler(Form):
    """Gaussian process on the Final Score itself; only for spaces without conditional parameters."""

    kind: Literal["gp"]
    startup_trials: StartupTrials = Field(
        default=10, description="Random trials before the process proposes; start_from counts."
    )


class NSGA2Sampler(Form):
    """NSGA-II (Deb et al. 2002): the Pareto front of si-RMSE, latency and size."""

    kind: Literal["nsga2"]
    population: Annotated[int, Field(ge=2, strict=True)] = Field(
        default=24, description="Candidates of one generation."
    )
    crossover_prob: Share = Field(default=0.9, description="Chance that a child has two parents.")
    mutation_prob: Share | None = Field(
        default=None, description="Chance that a parameter is drawn anew; absent: one over their number."
    )


class RandomSampler(Form):
    """Independent random trials: the baseline."""

    kind: Literal["random"]


Sampler = Annotated[
    Annotated[CompositeSampler, Tag("<composite>")]
    | Annotated[TPESampler, Tag("<tpe>")]
    | Annotated[GPSampler, Tag("<gp>")]
    | Annotated[NSGA2Sampler, Tag("<nsga2>")]
    | Annotated[RandomSampler, Tag("<random>")],
    Discriminator(kind_tag),
    Explain("{kind: NAME, ...} with NAME one of composite, tpe, gp, nsga2, random"),
]
