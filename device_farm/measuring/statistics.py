"""Statistics of latency samples: the median, its confidence interval under serial correlation, and drift.

Latencies are no independent draws: caches, governors, temperatures and other processes make neighbours alike, so
that n samples tell as much as n / tau independent ones, tau being the integrated autocorrelation time (Sokal,
"Monte Carlo methods in statistical mechanics", 1997). ``analyse`` estimates tau, takes the order statistics that
n / tau samples would need, and tests whether the trace moved while it was taken.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter
from statistics import median

import numpy as np
from numpy.typing import NDArray

from device_farm.types import MIN_INVOCATIONS

__all__ = [
    "Analysis",
    "Assessment",
    "analyse",
    "assess",
    "median",
]

Array = NDArray[np.float64]

Z_95 = 1.959964  # 97.5 % quantile of the normal distribution
# A trace is unstable when it moved beyond doubt ...
DRIFT_SIGNIFICANCE = 0.01
# ... or when neighbours are so alike that slow noise and drift cannot be told apart: 98 of 100 random walks, of
# any length, have fewer than 15 effective samples. Of a short trace, a fifth of its samples is asked for.
MIN_EFFECTIVE_SAMPLES = 15.0
MIN_EFFECTIVE_SHARE = 0.2
SLOW_WAVES = 2
# How much of the long-run variance centring may be thought to hide; more would only amplify noise.
MAX_HIDDEN_SHARE = 0.6
ROUNDING = 1e-9  # relative; what the Fourier transform may leave of a sum that is zero


@dataclass(frozen=True)
class Assessment:
    """What finished samples say.

    Attributes:
        median_ms: the sample median.
        interval_ms: 95 % confidence interval of the true median, two of the samples; None iff not ``stable``.
        effective_samples: how many independent samples would tell as much, 0 to the number of samples.
        stable: False when the latency drifted while it was measured, so that it has no median to speak of.
    """

    median_ms: float
    interval_ms: tuple[float, float] | None
    effective_samples: float
    stable: bool


@dataclass(frozen=True)
class Analysis:
    """The figures behind an assessment.

    Attributes:
        median_ms: the sample median.
        interval_ms: 95 % confidence interval of the median if the trace is stationary.
        samples: number of samples.
        effective_samples: samples / integrated autocorrelation time.
        drift: largest difference between the medians of the trace's quarters, relative to ``median_ms``.
        drift_p_value: chance of slow movement at least as strong in a stationary trace.
    """

    median_ms: float
    interval_ms: tuple[float, float]
    samples: int
    effective_samples: float
    drift: float
    drift_p_value: float

    @property
    def width(self) -> float:
        """Width of the interval relative to the median; 0 for constant samples."""
        low, high = self.interval_ms
        return (high - low) / self.median_ms if high > low else 0.0

    def drifted(self, tolerance: float) -> bool:
        """Whether the trace moved by more than ``tolerance`` (relative), and not by chance."""
        enough = min(MIN_EFFECTIVE_SAMPLES, MIN_EFFECTIVE_SHARE * self.samples)
        suspicious = self.effective_samples < enough or self.drift_p_value < DRIFT_SIGNIFICANCE
        return suspicious and self.drift > tolerance


def assess(samples_ms: Sequence[float], interval_width: float = 0.01) -> Assessment:
    """The median of finished samples with its 95 % confidence interval, unless they drifted.

    Movements smaller than ``interval_width`` (relative to the median) are no drift, however significant.
    The method is that of ``analyse``.

    Raises:
        ValueError: fewer than 6 samples, or one that is not a positive finite number.
    """
    analysis = analyse(samples_ms)
    stable = not analysis.drifted(interval_width)
    return Assessment(
        median_ms=analysis.median_ms,
        interval_ms=analysis.interval_ms if stable else None,
        effective_samples=analysis.effective_samples,
        stable=stable,
    )


def analyse(samples_ms: Sequence[float]) -> Analysis:
    """Median, confidence interval, effective samples and drift of a trace, in the order it was taken.

    Correlation: the variance of a sample median is that of the mean of the signs of x - median over the squared
    density (Bahadur), so that the signs' integrated autocorrelation time counts. It is estimated by Geyer's
    initial monotone sequence ("Practical Markov chain Monte Carlo", 1992), corrected for the bias that centring
    brings (Wolff, "Monte Carlo errors with less errors", 2004). Where the time of the ranks is longer, that one
    is taken: it shows rare slow modes which hardly move the signs.

    Interval: order statistics n/2 -+ t sqrt(n tau) / 2, with Student's t for the uncertainty of tau; at most the
    minimum and maximum.

    Drift: the two slowest cosines of the ranks against the long-run variance of what remains without them, an
    F test (cosine transforms: Müller and Watson, "Testing models of low-frequency variability", 2008; ranks:
    Dehling, Rooch and Taqqu, "Non-parametric change-point tests for long-range dependent data", 2013).

    Raises:
        ValueError: fewer than 6 samples, or one that is not a positive finite number.
    """
    values = _checked(samples_ms)
    ordered = np.sort(values)
    n = len(values)
    middle = _middle(ordered)
    signs = np.sign(values - middle)
    ranks = _centred_ranks(values, ordered)
    waves = _slow_waves(n)
    amplitudes = waves @ ranks
    rest = ranks - amplitudes @ waves
    covariances = _autocovariances(np.stack([signs - signs.mean(), ranks, rest]))
    correlation = max(
        _correlation(covariances[0], 1), _correlation(covariances[1], 1), key=attrgetter("time")
    )
    low = _lower_rank(n, correlation)
    return Analysis(
        median_ms=middle,
        interval_ms=(float(ordered[low - 1]), float(ordered[n - low])),
        samples=n,
        effective_samples=n / correlation.time,
        drift=_spread_of_quarters(values) / middle,
        drift_p_value=_drift_p_value(float(amplitudes @ amplitudes), covariances[2]),
    )


def _checked(samples_ms: Sequence[float]) -> Array:
    values = np.asarray(samples_ms, dtype=np.float64)
    if values.ndim != 1 or len(values) < MIN_INVOCATIONS:
        raise ValueError(
            f"samples_ms: {values.size} samples are too few, at least {MIN_INVOCATIONS} are needed"
        )
    if not (values.min() > 0 and values.max() < math.inf):
        wrong = int(np.argmin((values > 0) & (values < math.inf)))
        raise ValueError(f"samples_ms[{wrong}] is {values[wrong]}, allowed are positive finite numbers")
    return values


def _centred_ranks(values: Array, ordered: Array) -> Array:
    """Twice the ranks, equal values sharing theirs, less their mean: what is below minus what is above."""
    below = np.searchsorted(ordered, values, "left")
    not_above = np.searchsorted(ordered, values, "right")
    return (below + not_above - len(values)).astype(np.float64)


def _slow_waves(n: int) -> Array:
    """The slowest orthonormal cosines of n points after the constant one (DCT-II), a row each."""
    periods = np.arange(1, SLOW_WAVES + 1)[:, None]
    waves: Array = np.cos(np.pi / n * periods * (np.arange(n) + 0.5)) * math.sqrt(2 / n)
    return waves


def _autocovariances(series: Array) -> Array:
    """Sums of products at lags 0 to n - 1 of each row, by the Fourier transform of the padded row."""
    n = series.shape[1]
    size = 1 << (2 * n - 1).bit_length()
    spectrum = np.fft.rfft(series, size)
    covariances: Array = np.fft.irfft(spectrum.real**2 + spectrum.imag**2, size)[:, :n]
    return covariances


@dataclass(frozen=True)
class _Correlation:
    time: float  # integrated autocorrelation time, at least 1
    degrees_of_freedom: float  # of the long-run variance that it implies


def _correlation(covariances: Array, removed: int) -> _Correlation:
    """Geyer's initial monotone sequence estimate for a series from which ``removed`` waves were taken.

    Each removed wave (the mean is one) takes (2 W + 1) / n of the long-run variance with it, W being the last
    lag used. The degrees of freedom are those of a lag window of that width (Priestley, "Spectral analysis
    and time series", 1981, section 6.2).
    """
    n = len(covariances)
    if covariances[0] <= 0:  # constant
        return _Correlation(1.0, n)
    even = n - n % 2
    pairs = covariances[:even:2] + covariances[1:even:2]
    ends = pairs <= ROUNDING * covariances[0]
    used = max(int(ends.argmax()) if ends.any() else len(pairs), 1)
    time = 2 * float(np.minimum.accumulate(pairs[:used]).sum() / covariances[0]) - 1
    window = 2 * used - 1
    lost = min(removed * (2 * window + 1) / n, MAX_HIDDEN_SHARE)
    return _Correlation(max(time / (1 - lost), 1.0), max(n / (window + 1), 2.0))


def _lower_rank(n: int, correlation: _Correlation) -> int:
    """One-based rank l such that x(l) to x(n + 1 - l) is the 95 % interval of the median."""
    half_width = _student_t(correlation.degrees_of_freedom) * math.sqrt(n * correlation.time) / 2
    return max(math.floor(n / 2 - half_width), 1)


def _student_t(degrees_of_freedom: float) -> float:
    """The 97.5 % quantile of Student's t (Abramowitz and Stegun, 26.7.5), within 1 % from 5 degrees on."""
    z, nu = Z_95, degrees_of_freedom
    return z + (z**3 + z) / (4 * nu) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * nu**2)


def _spread_of_quarters(values: Array) -> float:
    """Largest difference between the medians of the four quarters of a trace."""
    n = len(values)
    bounds = (0, n // 4, n // 2, n - n // 4, n)
    medians = [_middle(np.sort(values[start:end])) for start, end in pairwise(bounds)]
    return max(medians) - min(medians)


def _middle(ordered: Array) -> float:
    """The median of sorted values; a tenth of the time of numpy's for few values."""
    n = len(ordered)
    return float(ordered[(n - 1) // 2] + ordered[n // 2]) / 2


def _drift_p_value(slow: float, rest: Array) -> float:
    """P(F >= found) of the F test: power of the slow waves over the long-run variance of the rest.

    With 2 degrees of freedom above, the distribution has a closed form.
    """
    n = len(rest)
    if rest[0] <= ROUNDING * slow:  # nothing but the waves, or constant
        return 0.0 if slow > 0 else 1.0
    correlation = _correlation(rest, 1 + SLOW_WAVES)
    free = n - 1 - SLOW_WAVES
    long_run_variance = float(rest[0]) / free * correlation.time
    below = max(correlation.degrees_of_freedom * free / n, 2.0)
    found = slow / SLOW_WAVES / long_run_variance
    return math.pow(1 + SLOW_WAVES * found / below, -below / SLOW_WAVES)
