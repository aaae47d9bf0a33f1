"""When to stop warming up and sampling, and how many invocations to take before asking again.

Pure decisions over what was sampled so far; the worker calls them between blocks. The rule is sequential: it
stops at the first look at which the 95 % confidence interval of the median is narrow enough. Such a rule favours
moments at which the interval is narrow by luck (Chow and Robbins, "On the asymptotic theory of fixed-width
sequential confidence intervals", 1965), which is why it looks only at geometrically growing numbers of samples
and not before 40 effective ones. benchmarks/stopping.py simulates what is left: coverage, drift, cost. What no
rule can know is what has not shown itself yet, such as a slow spell that comes once in hundreds of invocations.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from device_farm.measuring.statistics import Assessment, analyse, assess, median
from device_farm.types import MIN_INVOCATIONS, StopReason

__all__ = [
    "Assessment",
    "StopReason",
    "StoppingRule",
    "WarmUpRule",
    "assess",
    "next_block",
    "settled",
    "stop_reason",
]

# Fewer say too little about their own correlation for the width of the interval to be believed.
MIN_EFFECTIVE_TO_STOP = 40.0
# A trace that only may be drifting costs some more samples; calling it unstable would cost the measurement.
SUSPECTED_DRIFT = 0.1
BLOCK_SECONDS = 0.075
BLOCK_GROWTH = 0.3

# A processor that was idle took up to 40 ms to reach its full clock, and half the speed until then.
SHORTEST_WARMUP_SECONDS = 0.1
MOST_WARMUPS_FOR_THAT = 1000
FEWEST_WARMUPS = 3
ENOUGH_WARMUPS = 30
ENOUGH_OF_WARMUP_BUDGET = 0.25
STILL_FALLING = 0.005


@dataclass(frozen=True)
class StoppingRule:
    """How precise a median must be, and what it may cost.

    Attributes:
        interval_width: wanted width of the 95 % confidence interval relative to the median, such as 0.01;
            0: sample until a budget is spent. Movement of the latency beyond it counts as drift.
        min_invocations: never fewer samples than this, whatever they cost; at least 6.
        max_invocations: never more samples than this.
        sampling_seconds: wall-clock budget of sampling; no block is started that is expected to exceed it.

    Raises:
        ValueError: a value out of range.
    """

    interval_width: float
    min_invocations: int
    max_invocations: int
    sampling_seconds: float

    def __post_init__(self) -> None:
        for name, low, high in (
            ("interval_width", 0, 1),
            ("min_invocations", MIN_INVOCATIONS, math.inf),
            ("max_invocations", self.min_invocations, math.inf),
            ("sampling_seconds", 0, math.inf),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"stopping rule: {name} must be {low} to {high}, got {value}")


@dataclass(frozen=True)
class WarmUpRule:
    """What warming up may cost: ``warmup_seconds`` of wall clock, 0 for no warm-up.

    Raises:
        ValueError: a negative budget.
    """

    warmup_seconds: float

    def __post_init__(self) -> None:
        if not self.warmup_seconds >= 0:
            raise ValueError(f"warm-up rule: warmup_seconds must be at least 0, got {self.warmup_seconds}")


def stop_reason(samples_ms: Sequence[float], spent_seconds: float, rule: StoppingRule) -> StopReason | None:
    """Why sampling ends here, or None: take another block.

    ``interval``: the interval of the median is as narrow as wanted, rests on at least 40 effective samples and
    shows no sign of drift. A drifting trace therefore goes on until a budget is spent, and settles if the drift
    was a passing one; ``assess`` has the last word on it.

    Args:
        samples_ms: all samples so far, in the order they were taken.
        spent_seconds: wall time since sampling began.
        rule: precision and budgets.

    Raises:
        ValueError: a sample that is not a positive finite number.
    """
    count = len(samples_ms)
    if count < rule.min_invocations:
        return None
    if count >= MIN_EFFECTIVE_TO_STOP and _precise_enough(samples_ms, rule.interval_width):
        return "interval"
    if count >= rule.max_invocations:
        return "max_invocations"
    if spent_seconds >= rule.sampling_seconds:
        return "sampling_seconds"
    return None


def next_block(samples_ms: Sequence[float], spent_seconds: float, rule: StoppingRule) -> int:
    """How many invocations to take before ``stop_reason`` is asked again, at least 1.

    The first block is a single invocation, which shows the latency. Later ones are 75 ms of work or 30 % of the
    samples so far, whichever is more, so that the number of decisions is logarithmic in the number of samples;
    but no more than the budgets leave, and not across ``min_invocations``.

    Raises:
        ValueError: there are ``max_invocations`` samples already.
    """
    count = len(samples_ms)
    if count >= rule.max_invocations:
        raise ValueError(f"next_block: {count} samples of at most {rule.max_invocations} are taken already")
    if count == 0:
        return 1
    # The clock counts what the samples leave out; the samples count where the clock was not advanced.
    each_seconds = max(spent_seconds / count, fmean(samples_ms) / 1000)
    wanted = max(math.ceil(BLOCK_SECONDS / each_seconds), math.ceil(BLOCK_GROWTH * count))
    affordable = max((rule.sampling_seconds - spent_seconds) / each_seconds, 1.0)
    bound = rule.min_invocations if count < rule.min_invocations else rule.max_invocations
    return int(min(wanted, affordable, bound - count))


def settled(warmup_ms: Sequence[float], spent_seconds: float, rule: WarmUpRule) -> bool:
    """Whether the warm-up is over: its samples no longer fall, or its budget is spent.

    It takes at least 0.1 s, or 1,000 invocations of a tiny model. The samples no longer fall when the median of
    their last third is not more than 0.5 % below that of the third before. To see a slow fall at all, that is
    asked of 30 samples or of what a quarter of the budget gives, whichever comes first, but of at least 3. Slower
    changes are left to the test for drift.
    """
    if spent_seconds >= rule.warmup_seconds:
        return True
    count = len(warmup_ms)
    if count < FEWEST_WARMUPS:
        return False
    if count < ENOUGH_WARMUPS and spent_seconds < ENOUGH_OF_WARMUP_BUDGET * rule.warmup_seconds:
        return False
    if count < MOST_WARMUPS_FOR_THAT and spent_seconds < SHORTEST_WARMUP_SECONDS:
        return False
    third = count // 3
    before, last = warmup_ms[-2 * third : -third], warmup_ms[-third:]
    return median(last) >= (1 - STILL_FALLING) * median(before)


def _precise_enough(samples_ms: Sequence[float], interval_width: float) -> bool:
    analysis = analyse(samples_ms)
    suspected = analysis.drift > interval_width / 2 and analysis.drift_p_value < SUSPECTED_DRIFT
    return (
        analysis.width <= interval_width
        and analysis.effective_samples >= MIN_EFFECTIVE_TO_STOP
        and not suspected
        and not analysis.drifted(interval_width)
    )
