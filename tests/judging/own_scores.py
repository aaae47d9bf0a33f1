"""Scores as somebody else's package would have them."""

import math


class EdgeScore:
    """Below 40 ms a frame is fast enough; then accuracy is all that counts. Negative throughout."""

    name = "Edge Score"

    def __call__(self, si_rmse: float, latency_ms: float) -> float:
        return -si_rmse - 0.01 * max(latency_ms - 40.0, 0.0)


class AccuracyFirst:
    """Above 0 everywhere, and other than the Final Score in what a millisecond is worth."""

    name = "accuracy / first"

    def __call__(self, si_rmse: float, latency_ms: float) -> float:
        return math.exp(-20 * si_rmse) / math.sqrt(latency_ms)


class TheChallengesOwn:
    """The Final Score under another name: everything decided by it is known."""

    name = "twin"

    def __call__(self, si_rmse: float, latency_ms: float) -> float:
        return 2 ** (-20 * si_rmse) * 640_000 / latency_ms


class Rising(EdgeScore):
    def __call__(self, si_rmse: float, latency_ms: float) -> float:
        return latency_ms - si_rmse


class BlindToLatency(EdgeScore):
    def __call__(self, si_rmse: float, latency_ms: float) -> float:
        del latency_ms
        return -si_rmse


class Endless(EdgeScore):
    def __call__(self, si_rmse: float, latency_ms: float) -> float:
        return -math.inf if latency_ms > 500 else -si_rmse - latency_ms


class Failing(EdgeScore):
    def __call__(self, si_rmse: float, latency_ms: float) -> float:
        return 1 / si_rmse - latency_ms


class Wordy(EdgeScore):
    def __call__(self, si_rmse: float, latency_ms: float) -> float:
        return f"{si_rmse} {latency_ms}"


class Impostor(EdgeScore):
    name = "final score"


class Unnamed(EdgeScore):
    name = "..."


class Demanding(EdgeScore):
    def __init__(self, weight: float) -> None:
        self.weight = weight


class NoScore:
    name = "nothing to call"


def edge_score(si_rmse: float, latency_ms: float) -> float:
    return -si_rmse - latency_ms
