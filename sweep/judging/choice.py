"""Which of several files, each run at several settings, speaks for a training. Pure functions."""

from collections.abc import Sequence


def best(scores: Sequence[float | None]) -> int | None:
    """The place of the highest score; of equal ones the first. None stands for what has no score.

    Returns:
        None if nothing has a score.
    """
    known = [(score, place) for place, score in enumerate(scores) if score is not None]
    return max(known, key=lambda entry: (entry[0], -entry[1]))[1] if known else None


def fastest(latencies_ms: Sequence[float | None]) -> int | None:
    """The place of the lowest latency; of equal ones the first. None stands for what was not measured.

    Returns:
        None if nothing was measured.
    """
    return best([None if latency is None else -latency for latency in latencies_ms])


def may_be_fastest(intervals_ms: Sequence[tuple[float, float] | None]) -> tuple[int, ...]:
    """The places of all whose interval does not lie wholly above another one's; None stands for no interval."""
    known = [interval for interval in intervals_ms if interval is not None]
    if not known:
        return ()
    lowest_end = min(high for _, high in known)
    return tuple(
        place
        for place, interval in enumerate(intervals_ms)
        if interval is not None and interval[0] <= lowest_end
    )
