"""Drift of a device, seen by the reference model that runs before and after every job.

A job whose bracket strays from the device's baseline by more than the profile's tolerance is tainted: it is
measured again. Several in a row mean that the device itself has changed. A smaller shift that persists never
taints a job by itself; a cumulative sum finds it (Page, Continuous Inspection Schemes, Biometrika 1954): it
adds up how far the log-ratios exceed a slack, starts again from 0 whenever it would turn negative, and counts
as a shift at a limit. Ratios are clipped at the tolerance, so that one outlier is no shift.

With the limits of ``rpi4`` (slack 1.25 %, limit 5 %), simulated: noise of 0.75 % (standard deviation of a
bracket's log-ratio, independent) raised no false alarm in 40 million brackets, noise of 1 % one in 2 million,
noise of 0.75 % with a serial correlation of 0.5 one in 120,000. A shift of 3 % is found after 4 brackets
(median; 6 in 99 of 100 cases), one of 2 % after 7 (16), one of 1.5 % after 17 (59).

All ratios are to a baseline of the same device, runtime and delegate, so that one state serves all of a
device's jobs, whatever their runtime.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from device_farm.measuring.profiles import Profile, Shift

Action = Literal["clean", "measure again", "quarantine"]


@dataclass(frozen=True, slots=True)
class Bracket:
    """Medians of the reference model before and after one job, in milliseconds.

    Raises:
        ValueError: one is not a finite number above 0.
    """

    before_ms: float
    after_ms: float

    def __post_init__(self) -> None:
        for name in ("before_ms", "after_ms"):
            _check_latency(f"bracket: {name}", getattr(self, name))


@dataclass(frozen=True, slots=True)
class DriftState:
    """What is remembered of a device's brackets; a new or resumed device starts with ``DriftState()``.

    ``slower`` and ``faster`` are the cumulative sums of log-ratios in either direction, ``*_brackets`` for how
    many brackets they have been above 0.
    """

    tainted_in_a_row: int = 0
    slower: float = 0.0
    slower_brackets: int = 0
    faster: float = 0.0
    faster_brackets: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of the job inside the bracket, and of its device.

    Attributes:
        action: ``clean``; ``measure again`` this job; ``quarantine`` the device.
        text: why, in words.
        suspect_brackets: how many of the device's latest jobs, this one included, lie in the tainted window.
            For a device in quarantine it reaches back to where the shift seems to have begun.
    """

    action: Action
    text: str
    suspect_brackets: int


def tainted(bracket: Bracket, baseline_ms: float, tolerance: float) -> str | None:
    """Why a job in this bracket cannot be trusted; None if it can.

    Args:
        baseline_ms: the device's median for the same runtime and delegate.
        tolerance: allowed factor minus 1, in either direction; at 0.03, 1 / 1.03 to 1.03 are allowed.

    Raises:
        ValueError: ``baseline_ms`` is not a finite number above 0, or ``tolerance`` not above 0.
    """
    _check_latency("baseline_ms", baseline_ms)
    if not tolerance > 0:
        raise ValueError(f"tolerance must be above 0, got {tolerance}")
    strays = [
        f"{ratio:.3f} times its baseline {moment} the job"
        for moment, ratio in (
            ("before", bracket.before_ms / baseline_ms),
            ("after", bracket.after_ms / baseline_ms),
        )
        if not 1 / (1 + tolerance) <= ratio <= 1 + tolerance
    ]
    if not strays:
        return None
    allowed = f"{1 / (1 + tolerance):.3f} to {1 + tolerance:.3f}"
    return (
        f"the reference model took {' and '.join(strays)} (baseline {baseline_ms:.3f} ms, allowed {allowed})"
    )


def advance(
    state: DriftState, bracket: Bracket, baseline_ms: float, profile: Profile
) -> tuple[DriftState, Verdict]:
    """The device's state after one more job, and the verdict about that job.

    Raises:
        ValueError: as ``tainted`` does.
    """
    reason = tainted(bracket, baseline_ms, profile.reference_tolerance)
    change = _log_ratio(bracket, baseline_ms, profile.reference_tolerance)
    slack, limit = _log_limits(profile.shift)
    slower = max(0.0, state.slower + change - slack)
    faster = max(0.0, state.faster - change - slack)
    after = DriftState(
        tainted_in_a_row=state.tainted_in_a_row + 1 if reason else 0,
        slower=slower,
        slower_brackets=state.slower_brackets + 1 if slower > 0 else 0,
        faster=faster,
        faster_brackets=state.faster_brackets + 1 if faster > 0 else 0,
    )
    return after, _verdict(after, reason, limit, profile)


def scale(baseline_ms: float, class_baselines: Sequence[float]) -> float:
    """How slow a device is within its class: its baseline over the median of the class's, its own included.

    Raises:
        ValueError: no baseline of the class, or one that is not a finite number above 0.
    """
    _check_latency("baseline_ms", baseline_ms)
    if not class_baselines:
        raise ValueError("class_baselines must hold at least one baseline")
    for index, value in enumerate(class_baselines):
        _check_latency(f"class_baselines[{index}]", value)
    return baseline_ms / median(class_baselines)


def _verdict(state: DriftState, reason: str | None, limit: float, profile: Profile) -> Verdict:
    side, total, window = (
        ("slower", state.slower, state.slower_brackets)
        if state.slower >= state.faster
        else ("faster", state.faster, state.faster_brackets)
    )
    suspects = max(window, state.tainted_in_a_row)
    if state.tainted_in_a_row >= profile.quarantine_after:
        return Verdict("quarantine", f"{state.tainted_in_a_row} tainted jobs in a row; {reason}", suspects)
    if total >= limit:
        text = f"the reference model has been {side} than its baseline for {window} jobs, lastingly"
        return Verdict("quarantine", text, suspects)
    if reason is not None:
        return Verdict("measure again", reason, 1)
    return Verdict("clean", "the reference model agrees with its baseline", 0)


def _log_ratio(bracket: Bracket, baseline_ms: float, tolerance: float) -> float:
    """Mean log-ratio of the bracket to the baseline, clipped at the tolerance."""
    mean = math.log(bracket.before_ms * bracket.after_ms) / 2 - math.log(baseline_ms)
    bound = math.log1p(tolerance)
    return min(bound, max(-bound, mean))


def _log_limits(shift: Shift | None) -> tuple[float, float]:
    """Slack and limit of the sums; without a shift to look for, nothing ever adds up."""
    return (math.inf, math.inf) if shift is None else (shift.slack, shift.limit)


def _check_latency(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be a finite number of milliseconds above 0, got {value}")
