"""The rung policy: which paused trials deserve more epochs. Pure functions over trials.

Asynchronous successive halving (Li et al. 2020), on the Final Score instead of the loss: of all trials that
reached a rung, the best ``1 / reduction_factor`` go on. A trial that is not good enough yet stays paused and
may still be promoted when weaker trials arrive. When no new trial will start any more (`closing`), at least
``min_full`` of the trials are taken to full fidelity.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sweep.lifecycle import Trial, TrialState


@dataclass(frozen=True)
class RungPolicy:
    """Rungs in epochs, strictly increasing; the last one is full fidelity.

    Raises:
        ValueError: rungs not increasing from at least 1, or a reduction factor of 1 or less.
    """

    epochs: tuple[int, ...]
    reduction_factor: float
    min_full: int

    def __post_init__(self) -> None:
        increasing = all(low < high for low, high in zip(self.epochs, self.epochs[1:], strict=False))
        if not self.epochs or self.epochs[0] < 1 or not increasing:
            raise ValueError(f"rungs {list(self.epochs)} must increase from at least 1")
        if self.reduction_factor <= 1:
            raise ValueError(f"reduction factor {self.reduction_factor} must be above 1")

    @property
    def max_epochs(self) -> int:
        """Full fidelity."""
        return self.epochs[-1]

    def next_rung(self, epoch: int) -> int:
        """The first rung above ``epoch``."""
        return next(rung for rung in self.epochs if rung > epoch)


def promotable(policy: RungPolicy, trials: Iterable[Trial], *, closing: bool) -> tuple[Trial, ...]:
    """The paused trials that may go on to their next rung; highest rungs and best scores first."""
    known = [trial for trial in trials if trial.state not in (TrialState.FAILED, TrialState.INFEASIBLE)]
    chosen: list[Trial] = []
    for rung in reversed(policy.epochs[:-1]):
        scored = [(score, trial) for trial in known if (score := trial.score_at(rung)) is not None]
        scored.sort(key=lambda pair: (-pair[0], pair[1].number))
        quota = int(len(scored) / policy.reduction_factor)
        if closing:
            quota = max(quota, policy.min_full)
        top = [trial for _, trial in scored[:quota]]
        chosen += [trial for trial in top if trial.state is TrialState.PAUSED and trial.epoch == rung]
    return tuple(chosen)


def interrupted(trials: Iterable[Trial]) -> tuple[Trial, ...]:
    """The paused trials whose last attempt did not get where it was sent: it must go on."""
    return tuple(
        trial for trial in trials if trial.state is TrialState.PAUSED and trial.epoch < trial.target_epoch
    )
