"""The proposer of a person who knows what to try."""

from collections.abc import Sequence

from sweep.lifecycle import SweepState
from sweep.search.ports import Proposal, SearchSpace, Start


class FixedProposer:
    """Proposes exactly the given candidates in order, repeats included: one may be trained with several seeds.

    Args:
        space: what spells the candidates.
        starts: complete assignments; trial n is the n-th of them.
    """

    def __init__(self, space: SearchSpace, starts: Sequence[Start]) -> None:
        self._space = space
        self._starts = tuple(starts)

    @property
    def optuna_seconds(self) -> float:
        """No library is asked."""
        return 0.0

    def propose(self, state: SweepState) -> Proposal | None:
        """The candidate of the next trial, or None after the last.

        Raises:
            SpaceError: the start is incomplete, or does not fit the space.
            ImpossibleCandidate: its values fit one by one, but the combination cannot exist.
        """
        number = len(state.trials)
        if number >= len(self._starts):
            return None
        start = self._starts[number]
        candidate = self._space.candidate(start.assignment)
        return Proposal(start.assignment, candidate, start.origin, start.seed)
