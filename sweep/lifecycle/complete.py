"""The complete trials of a sweep, and what only they tell; computed once for as long as none joins them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from sweep.lifecycle.trial import Trial


@dataclass(frozen=True)
class Finished:
    """A trial that reached full fidelity: its latency, and si-RMSE after each epoch; the last is the final one."""

    latency_ms: float
    si_rmse: tuple[float, ...]


class CompleteTrials(Mapping[int, Trial]):
    """Trials by number, in order of proposal. Immutable; equal to any mapping of the same trials."""

    def __init__(self, trials: Mapping[int, Trial] | None = None) -> None:
        self._trials = dict(sorted((trials or {}).items()))

    def __getitem__(self, number: int) -> Trial:
        return self._trials[number]

    def __iter__(self) -> Iterator[int]:
        return iter(self._trials)

    def __len__(self) -> int:
        return len(self._trials)

    def __repr__(self) -> str:
        return f"CompleteTrials({self._trials!r})"

    def with_trial(self, trial: Trial) -> "CompleteTrials":
        """These trials with ``trial`` among them, in place of its earlier form if there is one."""
        return CompleteTrials({**self._trials, trial.number: trial})

    @cached_property
    def best(self) -> Trial | None:
        """The trial with the highest Final Score; of equals the earlier one."""
        return max(self._trials.values(), key=lambda trial: trial.final_score or 0.0, default=None)

    @cached_property
    def finished(self) -> tuple[Finished, ...]:
        """What the trials that were trained and measured teach, in their order."""
        return tuple(
            Finished(trial.latency_ms, trial.si_rmse_curve)
            for trial in self._trials.values()
            if trial.latency_ms is not None and trial.epochs
        )
