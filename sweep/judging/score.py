"""What a sweep maximises: the challenge's Final Score, or a score of one's own; and the published results.

The report gives no value for the normalisation constant. ``C = 1 / 640000`` is inferred: with it, and the
runtime in milliseconds, every row of Table 1 comes out as published after rounding to an integer.
"""

import math
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

C: Final = 1 / 640_000


def final_score(si_rmse: float, runtime_ms: float) -> float:
    """``2^(-20 si_rmse) / (C runtime_ms)``; larger is better.

    Args:
        si_rmse: scale-invariant RMSE of the log depth, at least 0.
        runtime_ms: latency of one 640x480 frame in milliseconds, above 0.

    Raises:
        ValueError: an argument is out of its range or not finite.
    """
    if not (math.isfinite(si_rmse) and si_rmse >= 0):
        raise ValueError(f"si_rmse is {si_rmse}; it must be a finite number of at least 0")
    if not (math.isfinite(runtime_ms) and runtime_ms > 0):
        raise ValueError(f"runtime_ms is {runtime_ms}; it must be a finite number above 0")
    return math.exp2(-20 * si_rmse) / (C * runtime_ms)


@runtime_checkable
class Score(Protocol):
    """Two figures of a file in one: larger is better, and neither a larger error nor a larger latency is.

    A sweep has one score, which everything that decides or shows scores is given. `sweep.judging.own_score` loads
    those of other packages.
    """

    @property
    def name(self) -> str:
        """How it is called wherever it is shown."""

    def __call__(self, si_rmse: float, latency_ms: float) -> float:
        """The score of a file.

        Args:
            si_rmse: scale-invariant RMSE of the log depth, at least 0.
            latency_ms: of one 640x480 frame in milliseconds, above 0.
        """


@dataclass(frozen=True)
class FinalScore:
    """The challenge's; see `final_score`."""

    name: str = "Final Score"

    def __call__(self, si_rmse: float, latency_ms: float) -> float:
        """See `final_score`."""
        return final_score(si_rmse, latency_ms)


FINAL_SCORE: Final = FinalScore()
"""The score of every sweep that asks for no other."""


@dataclass(frozen=True)
class PublishedResult:
    """One row of Table 1 of the report: hidden test set, runtime on a Raspberry Pi 4 at 640x480."""

    team: str
    size_mb: float
    si_rmse: float
    rmse: float
    log10: float
    rel: float
    runtime_ms: float
    final_score: int


TABLE_1: Final[tuple[PublishedResult, ...]] = (
    PublishedResult("TCL", 2.9, 0.2773, 3.47, 0.1103, 0.2997, 46, 298),
    PublishedResult("AIIA HIT", 1.5, 0.311, 3.79, 0.1241, 0.3427, 37, 232),
    PublishedResult("MiAIgo", 1.0, 0.299, 3.89, 0.1349, 0.3807, 54, 188),
    PublishedResult("Tencent GY-Lab (2022)", 3.4, 0.303, 3.8, 0.1899, 0.3014, 68, 141),
    PublishedResult("Tencent GY-Lab (2021 winner)", 3.4, 0.2836, 3.56, 0.1121, 0.2690, 103, 122),
    PublishedResult("SmartLab", 7.1, 0.3296, 4.06, 0.1378, 0.3662, 65, 102),
    PublishedResult("JMU-CVLab", 3.5, 0.3498, 4.46, 0.1402, 0.3404, 139, 36),
    PublishedResult("ICL", 5.9, 0.338, 6.73, 0.3323, 0.5070, 142, 42),
)
