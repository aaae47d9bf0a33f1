"""Rules that call a measurement invalid, from its evidence alone.

A profile says what a kind of machine must look like while it measures. What is unknown breaks no rule;
``unknown_facts`` names what a profile would have liked to know.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from types import MappingProxyType

from device_farm.types import EvidenceValue
from device_farm.worker.facts import device_class_of

Evidence = Mapping[str, EvidenceValue]

# Below this, the two clock calls around an invocation are a visible part of its CPU and wall time.
SHORTEST_JUDGED_MS = 0.1


@dataclass(frozen=True)
class Shift:
    """Which persistent shift of the reference model a cumulative sum must find; see ``drift.py``.

    Attributes:
        slack: relative shift that is let pass, such as 0.0125.
        limit: sum of relative excesses over ``slack`` that counts as a shift.
    """

    slack: float
    limit: float


@dataclass(frozen=True)
class Profile:
    """Limits for one kind of machine; None: not judged.

    Attributes:
        name: as in ``PROFILES``.
        cooldown_seconds: pause before an invalid measurement is tried again.
        governor: the cpufreq governor that must be set.
        min_frequency_share: lowest clock of the trace over the hardware's highest.
        max_temperature_c: highest temperature allowed.
        min_cpu_share: median process CPU time over median wall time of one invocation with one thread. It
            stays near 1 on a quiet machine and falls when others take the CPU.
        max_other_cores: cores that others may keep busy, whatever is free.
        other_cores_slack: cores that others may keep busy beyond those that the threads leave free.
        max_steal_share: share of the CPU time wanted that a hypervisor may give to other guests.
        reference_tolerance: relative deviation of the reference model from its baseline that taints a job.
        quarantine_after: tainted jobs in a row after which the device measures no more.
        shift: the smaller persistent shift that is looked for as well.
        expected_facts: evidence that such a machine can give.
    """

    name: str
    cooldown_seconds: float
    governor: str | None
    min_frequency_share: float | None
    max_temperature_c: float | None
    min_cpu_share: float
    max_other_cores: float | None
    other_cores_slack: float
    max_steal_share: float
    reference_tolerance: float
    quarantine_after: int
    shift: Shift | None
    expected_facts: tuple[str, ...]


@dataclass(frozen=True)
class Violation:
    """A broken rule, and in words what was found and what is allowed."""

    rule: str
    text: str


PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        profile.name: profile
        for profile in (
            Profile(
                name="rpi4",
                cooldown_seconds=30.0,
                governor="performance",
                min_frequency_share=0.99,
                max_temperature_c=80.0,  # the firmware lowers the clock from here on
                min_cpu_share=0.95,
                max_other_cores=0.2,  # the four cores share one cache and one memory channel
                other_cores_slack=0.2,
                max_steal_share=0.01,
                reference_tolerance=0.03,
                quarantine_after=3,
                shift=Shift(slack=0.0125, limit=0.05),
                expected_facts=(
                    "throttled",
                    "governor",
                    "frequency_min_mhz",
                    "frequency_nominal_mhz",
                    "temperature_c_max",
                    "other_cpu_cores",
                ),
            ),
            Profile(
                name="generic",
                cooldown_seconds=2.0,
                governor=None,
                min_frequency_share=None,
                max_temperature_c=None,
                min_cpu_share=0.85,
                max_other_cores=None,
                other_cores_slack=0.5,
                max_steal_share=0.1,
                # A neighbour on the same physical core doubles even the CPU time of what runs beside it.
                reference_tolerance=1.5,
                quarantine_after=5,
                shift=None,  # a busy laptop's or virtual machine's speed wanders by itself
                expected_facts=(),
            ),
            Profile(
                name="emulated",  # its times tell nothing, so there is nothing to judge them by
                cooldown_seconds=0.0,
                governor=None,
                min_frequency_share=None,
                max_temperature_c=None,
                min_cpu_share=0.0,
                max_other_cores=None,
                other_cores_slack=math.inf,
                max_steal_share=math.inf,
                reference_tolerance=math.inf,
                quarantine_after=1,
                shift=None,
                expected_facts=(),
            ),
        )
    }
)

# All of these carry the BCM2711 of the Raspberry Pi 4 and its firmware.
_PROFILE_OF_CLASS = {"raspberrypi-4b": "rpi4", "raspberrypi-400": "rpi4", "raspberrypi-cm4": "rpi4"}


def profile_of(facts: Mapping[str, str], emulated: bool) -> str:
    """The profile for a machine whose owner named none."""
    return "emulated" if emulated else _PROFILE_OF_CLASS.get(device_class_of(facts), "generic")


def violations(
    profile: Profile,
    evidence: Evidence,
    cpu_ms: Sequence[float],
    samples_ms: Sequence[float],
    threads: int,
) -> tuple[Violation, ...]:
    """The rules that a measurement breaks, in a fixed order; empty: it is valid.

    Args:
        evidence: as ``surroundings.summarise`` gives it; missing keys are unknown.
        cpu_ms: process CPU time of each invocation.
        samples_ms: wall time of each invocation.
        threads: interpreter threads asked for.
    """
    found = [
        *_firmware_flags(evidence),
        _governor(profile, evidence),
        _frequency(profile, evidence),
        _temperature(profile, evidence),
        _cpu_share(profile, cpu_ms, samples_ms, threads),
        _other_cores(profile, evidence, threads),
        _steal(profile, evidence),
        _threads(evidence, threads),
    ]
    return tuple(violation for violation in found if violation is not None)


def unknown_facts(profile: Profile, evidence: Evidence) -> tuple[str, ...]:
    """The evidence that the profile expects of such a machine and that could not be read."""
    return tuple(key for key in profile.expected_facts if evidence.get(key) is None)


_FLAG_WORDS = {
    "under_voltage": "the power supply's voltage was too low",
    "frequency_capped": "the firmware capped the CPU's frequency",
    "throttled": "the firmware throttled the CPU",
    "soft_temperature_limit": "the firmware's soft temperature limit was reached",
}


def _firmware_flags(evidence: Evidence) -> list[Violation]:
    """Under-voltage, capping and throttling are never fine, whatever the board."""
    return [
        Violation(flag, f"{words} (get_throttled: {evidence.get('throttled') or 'unknown'})")
        for flag, words in _FLAG_WORDS.items()
        if evidence.get(f"{flag}_now") is True or evidence.get(f"{flag}_during") is True
    ]


def _governor(profile: Profile, evidence: Evidence) -> Violation | None:
    found = evidence.get("governor")
    if profile.governor is None or found is None or found == profile.governor:
        return None
    return Violation("governor", f"the CPU frequency governor is {found}; it must be {profile.governor}")


def _frequency(profile: Profile, evidence: Evidence) -> Violation | None:
    lowest, nominal = _number(evidence, "frequency_min_mhz"), _number(evidence, "frequency_nominal_mhz")
    if profile.min_frequency_share is None or lowest is None or nominal is None:
        return None
    allowed = profile.min_frequency_share * nominal
    if lowest >= allowed:
        return None
    return Violation(
        "frequency",
        f"the CPU's frequency fell to {lowest:.0f} MHz; it must stay at {allowed:.0f} MHz or more"
        f" (nominal: {nominal:.0f} MHz)",
    )


def _temperature(profile: Profile, evidence: Evidence) -> Violation | None:
    found, allowed = _number(evidence, "temperature_c_max"), profile.max_temperature_c
    if allowed is None or found is None or found < allowed:
        return None
    return Violation("temperature", f"the CPU reached {found:.1f} °C; it must stay below {allowed:.1f} °C")


def _cpu_share(
    profile: Profile, cpu_ms: Sequence[float], samples_ms: Sequence[float], threads: int
) -> Violation | None:
    """With several threads, CPU time is a sum over them and says nothing about waiting."""
    if threads != 1 or not cpu_ms or not samples_ms or median(samples_ms) < SHORTEST_JUDGED_MS:
        return None
    cpu, wall = median(cpu_ms), median(samples_ms)
    if cpu >= profile.min_cpu_share * wall:
        return None
    return Violation(
        "cpu_share",
        f"the machine is busy: an invocation of {wall:.3f} ms had the CPU for {cpu:.3f} ms, {cpu / wall:.0%}"
        f" of the time; at least {profile.min_cpu_share:.0%} are needed",
    )


def _other_cores(profile: Profile, evidence: Evidence, threads: int) -> Violation | None:
    found, cores = _number(evidence, "other_cpu_cores"), _number(evidence, "cores")
    if found is None or cores is None:
        return None
    allowed = max(0.0, cores - threads) + profile.other_cores_slack
    if profile.max_other_cores is not None:
        allowed = min(allowed, profile.max_other_cores)
    if found <= allowed:
        return None
    return Violation(
        "other_cpu_cores",
        f"the machine is busy: other processes kept {found:.2f} of {cores:.0f} cores busy;"
        f" at most {allowed:.2f} are allowed beside {_counted_threads(threads)}",
    )


def _steal(profile: Profile, evidence: Evidence) -> Violation | None:
    found = _number(evidence, "steal_share")
    if found is None or found <= profile.max_steal_share:
        return None
    return Violation(
        "steal_share",
        f"the hypervisor gave {found:.1%} of this machine's CPU time to others;"
        f" at most {profile.max_steal_share:.1%} are allowed",
    )


def _threads(evidence: Evidence, threads: int) -> Violation | None:
    cores = _number(evidence, "cores")
    if cores is None or cores >= threads:
        return None
    return Violation(
        "threads", f"{cores:.0f} cores may be used, but {_counted_threads(threads)} were asked for"
    )


def _counted_threads(threads: int) -> str:
    return "1 thread" if threads == 1 else f"{threads} threads"


def _number(evidence: Evidence, key: str) -> float | None:
    value = evidence.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
