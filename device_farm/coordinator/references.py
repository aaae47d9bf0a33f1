"""What the reference model tells of a device: its baselines, and whether it is still its old self."""

from collections.abc import Sequence
from statistics import median

from device_farm.coordinator.fleet import DeviceRecord
from device_farm.measuring.drift import Bracket, Verdict, advance
from device_farm.measuring.profiles import Profile

CALIBRATION_ROUND = 5  # invocations of the reference model whose median counts as one time


def reference_key(runtime: str, delegate: str) -> str:
    """The name under which the reference model's times for a runtime and delegate are kept."""
    return f"{runtime}/{delegate}"


def quietest_median(times_ms: Sequence[float]) -> float:
    """The lowest median of a few invocations in a row: whatever else the machine does only adds time."""
    starts = range(0, len(times_ms), CALIBRATION_ROUND)
    return min(median(times_ms[start : start + CALIBRATION_ROUND]) for start in starts)


def hold_against_baseline(
    device: DeviceRecord, key: str, bracket: Bracket, job_id: str | None
) -> tuple[Verdict, bool]:
    """Takes a bracket into the device's record.

    Args:
        key: as ``reference_key`` gives it.
        job_id: the job inside the bracket; None: the reference model was run for itself.

    Returns:
        The verdict on the bracket, and whether it set a new baseline.
    """
    device.recent_ms[key] = bracket.after_ms
    baseline_ms = device.baselines_ms.get(key)
    is_new = baseline_ms is None or _was_set_on_a_busy_machine(baseline_ms, bracket, device.profile)
    if baseline_ms is None or is_new:
        baseline_ms = device.baselines_ms[key] = bracket.before_ms
    device.drift, verdict = advance(device.drift, bracket, baseline_ms, device.profile)
    device.bracketed_jobs.append(job_id)
    return verdict, is_new


def _was_set_on_a_busy_machine(baseline_ms: float, bracket: Bracket, profile: Profile) -> bool:
    """Whether a machine whose speed is not watched closely turns out to be much faster than was thought."""
    quickest_allowed_ms = baseline_ms / (1 + profile.reference_tolerance)
    return profile.shift is None and max(bracket.before_ms, bracket.after_ms) < quickest_allowed_ms
