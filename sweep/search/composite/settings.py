"""Settings of the composite proposer."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class CompositeSettings:
    """How the composite proposer works; the defaults are what won in simulation.

    Attributes:
        startup_trials: trials before the models propose, starts included, those that broke not; all but the
            starts are random.
        pool: candidates that are scored for one proposal, at least 3.
        exploration: factors on the deviation of what is believed of a score, each above 0, taken in turn by
            trial: a low one stays with what is known to be good, a high one looks further.
        parents: trials, and then candidates of the pool, that are changed to make further candidates; at least 1.
        most_trials: trials that the models are conditioned on, at least 2; bounds the cost of a proposal.
        most_pending: candidates under way that are taken into account, the newest; at least 0.
        fit_trials: trials that hyperparameters are fitted to, at least 2.
        fit_growth: hyperparameters are fitted anew whenever the number of trials has grown by this factor,
            above 1.

    Raises:
        ValueError: a setting is out of its range.
    """

    startup_trials: int = 8
    pool: int = 600
    exploration: tuple[float, ...] = (0.3, 1.0)
    parents: int = 16
    most_trials: int = 110
    most_pending: int = 32
    fit_trials: int = 100
    fit_growth: float = 1.2

    def __post_init__(self) -> None:
        bounds = {
            "startup_trials": 0,
            "pool": 3,
            "parents": 1,
            "most_trials": 2,
            "most_pending": 0,
            "fit_trials": 2,
        }
        for name, low in bounds.items():
            if (value := getattr(self, name)) < low:
                raise ValueError(f"{name} is {value}; it must be at least {low}")
        if not self.exploration or min(self.exploration) <= 0:
            raise ValueError(f"exploration is {self.exploration}; it must be factors above 0, at least one")
        if self.fit_growth <= 1:
            raise ValueError(f"fit_growth is {self.fit_growth}; it must be above 1")

    def fit_schedule(self) -> Iterator[int]:
        """The trials at which hyperparameters are fitted, ascending, without end."""
        trial = max(self.startup_trials - 1, 2)
        while True:
            yield trial
            trial = max(trial + 1, int(trial * self.fit_growth))
