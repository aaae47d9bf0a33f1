"""The stopping rule on simulated traces: coverage, share called unstable, invocations, width of the interval.

    python benchmarks/stopping.py [REPETITIONS]

A model of 10 ms with known median; every trace goes through the real rule, block by block. Beside it, what a fixed
50 and a fixed 1,000 invocations give with the order-statistic interval for independent samples. Coverage is the
share of all traces whose interval, at the moment of stopping, holds the true median: a stationary trace that is
called unstable counts as a miss. Budgets, unless a row names another: 2,000 invocations, 20 s.
"""

import math
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray
from scipy.signal import lfilter

from device_farm.measuring.stopping import StoppingRule, assess, next_block, stop_reason

Array = NDArray[np.float64]
Trace = Callable[[np.random.Generator, int], Array]  # n latencies relative to the undisturbed median
LATENCY_MS = 10.0
BUDGET = 2000
SLOW_SHARE = 0.15


@dataclass(frozen=True)
class Scenario:
    """Traces with their true median (None: there is none) and the invocations that the rule may take."""

    name: str
    trace: Trace
    median: float | None = 1.0
    budget: int = BUDGET


@dataclass(frozen=True)
class Outcome:
    """What one trace came to."""

    covered: bool
    unstable: bool
    invocations: int
    width: float  # of the interval relative to the median; NaN without an interval


def autoregressive(rng: np.random.Generator, n: int, phi: float) -> Array:
    """A stationary AR(1) series with unit variance."""
    burn_in = 300
    shocks = rng.normal(size=n + burn_in) * math.sqrt(1 - phi**2)
    return np.asarray(lfilter([1.0], [1.0, -phi], shocks)[burn_in:])


def noise(spread: float, phi: float = 0.0) -> Trace:
    """Lognormal noise with AR(1) correlation; its median is 1."""
    return lambda rng, n: np.exp(spread * autoregressive(rng, n, phi))


def two_modes(mode_phi: float, noise_phi: float, spread: float = 0.02) -> Trace:
    """15 % of invocations are a third slower, with a heavy tail; ``mode_phi`` makes the slow ones come in runs."""
    threshold = statistics.NormalDist().inv_cdf(1 - SLOW_SHARE)

    def trace(rng: np.random.Generator, n: int) -> Array:
        fast = noise(spread, noise_phi)(rng, n)
        slow = 1.3 * fast + 0.1 * np.abs(rng.standard_t(2.5, size=n))
        return np.where(autoregressive(rng, n, mode_phi) > threshold, slow, fast)

    return trace


def median_of_two_modes(spread: float = 0.02) -> float:
    """The slow mode lies above the fast one, so that this quantile of the fast one is the median of both."""
    return math.exp(spread * statistics.NormalDist().inv_cdf(0.5 / (1 - SLOW_SHARE)))


def rounded(trace: Trace, tick: float) -> Trace:
    """The latencies as a clock with this granularity shows them."""
    return lambda rng, n: np.round(trace(rng, n) / tick) * tick


def moving(trace: Trace, shape: Trace) -> Trace:
    """Noise around a moving level."""
    return lambda rng, n: trace(rng, n) * (1 + shape(rng, n))


def linear(total: float) -> Trace:
    """A steady rise to this level at the end of the trace."""
    return lambda _, n: total * np.arange(n) / n


def step(size: float) -> Trace:
    """A step somewhere between 30 % and 50 % of the trace."""
    return lambda rng, n: size * (np.arange(n) > n * rng.uniform(0.3, 0.5))


def settling(size: float, share: float) -> Trace:
    """An exponential approach of level 0 from above; its time constant is this share of the trace."""
    return lambda _, n: size * np.exp(-np.arange(n) / (share * n))


def ramp(size: float, share: float) -> Trace:
    """A thermal ramp: an exponential approach of a higher level."""
    return lambda _, n: size * (1 - np.exp(-np.arange(n) / (share * n)))


def random_walk(spread: float) -> Trace:
    """Steps that add up to this standard deviation at the end."""
    return lambda rng, n: np.expm1(spread * np.cumsum(rng.normal(size=n)) / math.sqrt(n))


def stationary() -> list[Scenario]:
    """The last one is harder than the rule promises: its slow runs are so rare that a trace may not show any."""
    mixed = median_of_two_modes()
    return [
        Scenario("lognormal 0.5 %", noise(0.005)),
        Scenario("lognormal 1 %", noise(0.01)),
        Scenario("lognormal 3 %", noise(0.03)),
        Scenario("lognormal 10 %, budget spent", noise(0.1)),
        Scenario("lognormal 3 %, at most 15", noise(0.03), budget=15),
        Scenario("lognormal 2 %, clock of 0.1 ms", rounded(noise(0.02), 0.01)),
        Scenario("AR(0.5) 1 %", noise(0.01, 0.5)),
        Scenario("AR(0.5) 3 %", noise(0.03, 0.5)),
        Scenario("AR(0.7) 2 %", noise(0.02, 0.7)),
        Scenario("AR(0.9) 0.3 %", noise(0.003, 0.9)),
        Scenario("AR(0.9) 1 %", noise(0.01, 0.9)),
        Scenario("AR(0.9) 3 %, budget spent", noise(0.03, 0.9)),
        Scenario("AR(0.9) 3 %, at most 300", noise(0.03, 0.9), budget=300),
        Scenario("two modes, independent", two_modes(0.0, 0.0), mixed),
        Scenario("two modes, AR(0.9) noise", two_modes(0.0, 0.9), mixed),
        Scenario("two modes in AR(0.9) runs", two_modes(0.9, 0.0), mixed),
        Scenario("two modes in runs, AR(0.7) noise", two_modes(0.9, 0.7), mixed),
        Scenario("two modes in AR(0.97) runs", two_modes(0.97, 0.0), mixed),
    ]


def drifting() -> list[Scenario]:
    """Movements of 3 % to 10 %, 2 to 6 times the noise.

    They span the budget, which is about what the noise alone would need for a 1 % interval: what happens after
    the rule has stopped is none of its business. Random walks end 4 times as far away (one standard deviation).
    """
    scenarios = []
    for label, still, total, budget in (
        ("0.5 %", noise(0.005), 0.03, 60),
        ("1 %", noise(0.01), 0.03, 70),
        ("2 %", noise(0.02), 0.05, 140),
        ("5 %", noise(0.05), 0.10, 800),
        ("AR(0.7) 1 %", noise(0.01, 0.7), 0.05, 250),
    ):
        for kind, shape in (
            ("linear", linear(total)),
            ("step", step(total)),
            ("settling", settling(total, 0.25)),
            ("thermal ramp", ramp(total, 0.5)),
            ("random walk", random_walk(4 * total)),
        ):
            name = f"{kind} {total * 100:.0f} % in {label}"
            scenarios.append(Scenario(name, moving(still, shape), None, budget))
    for still, label, slope in (
        (noise(0.01), "3 % each 70, in 1 %", 0.03 / 70),
        (noise(0.02), "5 % each 140, in 2 %", 0.05 / 140),
    ):
        scenarios.append(Scenario(f"linear {label}", moving(still, linear(slope * BUDGET)), None))
    return scenarios


def passing() -> list[Scenario]:
    """Movements that end early in the budget; the median is that of the settled level."""
    return [
        Scenario("settling 10 % in 1 %, within 60", moving(noise(0.01), settling(0.1, 20 / BUDGET))),
        Scenario("settling 5 % in 2 %, within 300", moving(noise(0.02), settling(0.05, 100 / BUDGET))),
    ]


def measure(scenario: Scenario, rng: np.random.Generator) -> Outcome:
    """Send one trace through the rule."""
    rule = StoppingRule(0.01, min(30, scenario.budget), scenario.budget, 20.0)
    trace = scenario.trace(rng, scenario.budget)
    samples_ms = (LATENCY_MS * trace).tolist()
    spent_s = np.concatenate([[0.0], np.cumsum(samples_ms)]) / 1000
    count = 0
    while stop_reason(samples_ms[:count], float(spent_s[count]), rule) is None:
        count += next_block(samples_ms[:count], float(spent_s[count]), rule)
    result = assess(samples_ms[:count], rule.interval_width)
    return outcome(scenario.median, result.median_ms, result.interval_ms, count)


def fixed(scenario: Scenario, rng: np.random.Generator, count: int) -> Outcome:
    """A fixed number of invocations and the interval for independent samples (Conover, 1999, section 3.2)."""
    ordered = np.sort(LATENCY_MS * scenario.trace(rng, max(count, scenario.budget))[:count])
    rank = int(scipy.stats.binom.ppf(0.025, count, 0.5))
    interval = (float(ordered[rank - 1]), float(ordered[count - rank]))
    return outcome(scenario.median, float(np.median(ordered)), interval, count)


def outcome(
    truth: float | None, median_ms: float, interval: tuple[float, float] | None, count: int
) -> Outcome:
    """Compare a result with the truth."""
    if interval is None:
        return Outcome(False, True, count, math.nan)
    low, high = interval
    covered = truth is not None and low <= truth * LATENCY_MS <= high
    return Outcome(covered, False, count, (high - low) / median_ms)


def row(scenario: Scenario, repetitions: int) -> str:
    """One line of the table."""
    rng = np.random.default_rng(20)
    measured = [measure(scenario, rng) for _ in range(repetitions)]
    cells = [
        percentage(scenario, measured),
        f"{statistics.fmean(each.unstable for each in measured):>8.1%}",
        f"{statistics.median(each.invocations for each in measured):>11.0f}",
        width(measured),
    ]
    for count in (50, 1000):
        naive = [fixed(scenario, rng, count) for _ in range(repetitions)]
        cells += [percentage(scenario, naive), width(naive)]
    return f"{scenario.name:<34} " + " ".join(cells)


def percentage(scenario: Scenario, outcomes: list[Outcome]) -> str:
    """Coverage, or a dash where there is nothing to cover."""
    return f"{statistics.fmean(each.covered for each in outcomes):>8.1%}" if scenario.median else f"{'-':>8}"


def width(outcomes: list[Outcome]) -> str:
    """Median width of the intervals that there are."""
    known = [each.width for each in outcomes if not each.unstable]
    return f"{statistics.median(known):>7.2%}" if known else f"{'-':>7}"


def main() -> None:
    """Print the three tables."""
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    started = time.perf_counter()
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, "
          f"numpy {np.__version__}; {repetitions} traces a row")  # fmt: skip
    heading = (
        f"{'':<34} {'--- stopping rule, 1 % ---':^37} {'-- fixed 50 --':^16} {'- fixed 1,000 -':^16}\n"
        f"{'':<34} {'coverage':>8} {'unstable':>8} {'invocations':>11} {'width':>7}"
        f"{' coverage   width' * 2}"
    )
    for title, scenarios in (
        ("stationary", stationary()),
        ("drifting", drifting()),
        ("drifting at first; the median is that of the settled level", passing()),
    ):
        print(f"\n{title}\n{heading}")
        for scenario in scenarios:
            print(row(scenario, repetitions), flush=True)
    print(f"\n{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
