"""A score of somebody else's: accuracy is worth more than in the challenge, and all values are below 0."""


class SharpScore:
    """Larger is better: a hundredth of si-RMSE is worth as much as 2 ms."""

    name = "Sharp Score"

    def __call__(self, si_rmse: float, latency_ms: float) -> float:
        return -100.0 * si_rmse - 0.5 * latency_ms
