"""How a sweep's score is called and written: the Final Score, or one of another package under its own name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sweep.judging.own_score import score_key
from sweep.judging.score import FINAL_SCORE
from sweep.lifecycle import SweepState
from sweep.lifecycle.events import Json
from sweep.report.text import score


@dataclass(frozen=True)
class ScoreLabel:
    """What stands beside a score; its class need not be there to be named.

    Attributes:
        name: in full, such as ``Final Score``.
        key: as a metric of the stores, such as ``final_score``.
        is_own: whether it is a score of another package.
    """

    name: str
    key: str
    is_own: bool = False

    @property
    def short(self) -> str:
        """Where a word must do: ``score``; one of another package is always named."""
        return self.name if self.is_own else "score"

    @property
    def partial_key(self) -> str:
        """The metric of partial scores."""
        return f"partial_{self.key}" if self.is_own else "partial_score"

    def text(self, value: float | None, partial: bool = False) -> str:
        """The value, marked with ``~`` if it is partial; a dash for None.

        Of another package's score, whose range nobody knows, with four significant digits.
        """
        if value is None or not self.is_own:
            return score(value, partial)
        return f"{'~' if partial else ''}{value:.4g}"


CHALLENGE: Final = ScoreLabel(FINAL_SCORE.name, "final_score")


def label_of(identity: Mapping[str, Json]) -> ScoreLabel:
    """The label of the score that a sweep's identity names."""
    own = identity.get("score")
    return CHALLENGE if own is None else ScoreLabel(str(own["name"]), score_key(str(own["name"])), True)


def label_in(state: SweepState) -> ScoreLabel:
    """The label of a sweep's score; of a sweep that has not started, the challenge's."""
    return label_of(state.started.identity) if state.started else CHALLENGE
