"""Rules that call a measurement invalid."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from machine_trees import QUIET

from device_farm.measuring.drift import Bracket, DriftState, advance
from device_farm.measuring.profiles import PROFILES, Violation, profile_of, unknown_facts, violations
from device_farm.worker.surroundings import summarise

RPI4, GENERIC = PROFILES["rpi4"], PROFILES["generic"]
LATER = dataclasses.replace(QUIET, at_seconds=110.0, busy_seconds=1010.5, own_seconds=5.2, child_seconds=11.5)
CLEAN = summarise([QUIET, LATER])
SAMPLES = ([9.9] * 20, [10.0] * 20)  # CPU and wall times


def broken(profile, changes, times=SAMPLES, threads=1):
    return [found.rule for found in violations(profile, {**CLEAN, **changes}, *times, threads)]


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_a_quiet_board_breaks_no_rule(profile):
    assert violations(profile, CLEAN, *SAMPLES, threads=1) == ()


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_what_is_unknown_breaks_no_rule(profile):
    assert violations(profile, dict.fromkeys(CLEAN), [], [], threads=4) == ()
    assert violations(profile, {}, [], [], threads=4) == ()


@pytest.mark.parametrize(
    ("changes", "strict", "tolerant"),
    [
        ({"under_voltage_during": True}, ["under_voltage"], ["under_voltage"]),
        ({"frequency_capped_now": True}, ["frequency_capped"], ["frequency_capped"]),
        ({"throttled_during": True}, ["throttled"], ["throttled"]),
        ({"soft_temperature_limit_now": True}, ["soft_temperature_limit"], ["soft_temperature_limit"]),
        ({"governor": "ondemand"}, ["governor"], []),
        ({"governor": "ondemand, performance"}, ["governor"], []),
        ({"frequency_min_mhz": 1781.0}, ["frequency"], []),
        ({"frequency_min_mhz": 1783.0}, [], []),
        ({"temperature_c_max": 79.9}, [], []),
        ({"temperature_c_max": 80.0}, ["temperature"], []),
        ({"other_cpu_cores": 0.2}, [], []),
        ({"other_cpu_cores": 0.21}, ["other_cpu_cores"], []),
        ({"other_cpu_cores": 3.5}, ["other_cpu_cores"], []),
        ({"other_cpu_cores": 3.51}, ["other_cpu_cores"], ["other_cpu_cores"]),
        ({"steal_share": 0.02}, ["steal_share"], []),
        ({"steal_share": 0.11}, ["steal_share"], ["steal_share"]),
        ({"cores": 0}, ["threads"], ["threads"]),
        ({"temperature_c_max": "hot", "cores": True, "steal_share": float("nan")}, [], []),
    ],
)
def test_each_rule_has_its_limit(changes, strict, tolerant):
    assert broken(RPI4, changes) == strict
    assert broken(GENERIC, changes) == tolerant


@pytest.mark.parametrize(
    ("cpu_ms", "wall_ms", "strict", "tolerant"),
    [
        # A model of 50 ms beside: nothing, one training thread, two on two CPUs, two suspended ones.
        (50.3, 50.4, [], []),
        (51.0, 51.7, [], []),
        (51.0, 78.7, ["cpu_share"], ["cpu_share"]),
        (50.8, 50.9, [], []),
        (45.0, 50.0, ["cpu_share"], []),
        (0.05, 0.09, [], []),  # too short to tell
        (0.05, 0.1, ["cpu_share"], ["cpu_share"]),
    ],
)
def test_cpu_time_against_wall_time_tells_a_busy_host(cpu_ms, wall_ms, strict, tolerant):
    outliers = ([cpu_ms] * 9 + [9999.0] * 2, [wall_ms] * 9 + [9999.0] * 2)
    assert broken(RPI4, {}, outliers) == strict
    assert broken(GENERIC, {}, outliers) == tolerant


def test_several_threads_are_not_judged_by_their_cpu_time():
    assert broken(GENERIC, {"other_cpu_cores": 0.1}, ([10.0] * 9, [50.0] * 9), threads=4) == []


def test_threads_take_cores_from_what_others_may_use():
    assert broken(GENERIC, {"other_cpu_cores": 0.6}, threads=3) == []
    assert broken(GENERIC, {"other_cpu_cores": 0.6}, threads=4) == ["other_cpu_cores"]
    assert broken(GENERIC, {"cores": 2, "other_cpu_cores": 0.6}, threads=4) == ["other_cpu_cores", "threads"]


def test_a_violation_says_what_was_found_and_what_is_allowed():
    changes = {
        "throttled": "0x50005",
        "under_voltage_now": True,
        "governor": "ondemand",
        "frequency_min_mhz": 600.0,
        "temperature_c_max": 84.3,
        "other_cpu_cores": 1.5,
        "steal_share": 0.25,
        "cores": 1,
    }
    found = violations(RPI4, {**CLEAN, **changes}, [51.0] * 9, [78.7] * 9, threads=1)
    assert found == (
        Violation("under_voltage", "the power supply's voltage was too low (get_throttled: 0x50005)"),
        Violation("governor", "the CPU frequency governor is ondemand; it must be performance"),
        Violation(
            "frequency",
            "the CPU's frequency fell to 600 MHz; it must stay at 1782 MHz or more (nominal: 1800 MHz)",
        ),
        Violation("temperature", "the CPU reached 84.3 °C; it must stay below 80.0 °C"),
        Violation(
            "cpu_share",
            "the machine is busy: an invocation of 78.700 ms had the CPU for 51.000 ms, 65% of the time;"
            " at least 95% are needed",
        ),
        Violation(
            "other_cpu_cores",
            "the machine is busy: other processes kept 1.50 of 1 cores busy;"
            " at most 0.20 are allowed beside 1 thread",
        ),
        Violation(
            "steal_share",
            "the hypervisor gave 25.0% of this machine's CPU time to others; at most 1.0% are allowed",
        ),
    )
    (few,) = violations(GENERIC, {"cores": 2}, [], [], threads=4)
    assert few == Violation("threads", "2 cores may be used, but 4 threads were asked for")


VALUES = {
    "governor": st.sampled_from(["performance", "powersave"]),
    "cores": st.integers(1, 8),
    "throttled": st.just("0x50005"),
    **{key: st.booleans() for key in CLEAN if key.endswith(("_now", "_during"))},
    **{
        key: st.floats(0, 2000) for key in ("frequency_min_mhz", "frequency_nominal_mhz", "temperature_c_max")
    },
    **{key: st.floats(0, 4) for key in ("other_cpu_cores", "steal_share")},
}


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
@given(
    evidence=st.fixed_dictionaries(VALUES),
    hidden=st.sets(st.sampled_from(sorted(VALUES))),
    threads=st.integers(1, 4),
)
def test_knowing_less_never_breaks_a_rule(profile, evidence, hidden, threads):
    less = {key: None if key in hidden else value for key, value in evidence.items()}
    rules = [
        {found.rule for found in violations(profile, known, *SAMPLES, threads)} for known in (evidence, less)
    ]
    assert rules[0] >= rules[1]


@given(evidence=st.fixed_dictionaries(VALUES), threads=st.integers(1, 4))
def test_what_the_tolerant_profile_refuses_the_strict_one_refuses_too(evidence, threads):
    rules = [
        {found.rule for found in violations(profile, evidence, *SAMPLES, threads)}
        for profile in (RPI4, GENERIC)
    ]
    assert rules[0] >= rules[1]


def test_a_strict_profile_names_what_it_could_not_see():
    assert unknown_facts(RPI4, CLEAN) == ()
    assert unknown_facts(RPI4, {**CLEAN, "throttled": None, "temperature_c_max": None}) == (
        "throttled",
        "temperature_c_max",
    )
    assert unknown_facts(RPI4, {}) == RPI4.expected_facts
    assert set(RPI4.expected_facts) <= CLEAN.keys()
    assert unknown_facts(GENERIC, {}) == ()


def test_an_emulated_device_is_judged_by_nothing():
    state, verdict = advance(DriftState(), Bracket(9.0, 900.0), 1.0, PROFILES["emulated"])
    assert (state, verdict.action) == (DriftState(), "clean")
    busy = {"other_cpu_cores": 2.0, "cores": 1, "steal_share": 0.9, "governor": "powersave"}
    assert violations(PROFILES["emulated"], busy, [1.0] * 9, [50.0] * 9, 1) == ()


@pytest.mark.parametrize(
    ("board", "emulated", "expected"),
    [
        ("Raspberry Pi 4 Model B Rev 1.4", False, "rpi4"),
        ("Raspberry Pi 4 Model B Rev 1.4", True, "emulated"),
        ("Raspberry Pi 400 Rev 1.0", False, "rpi4"),
        ("Raspberry Pi Compute Module 4 Rev 1.0", False, "rpi4"),
        ("Raspberry Pi 5 Model B Rev 1.0", False, "generic"),
        (None, False, "generic"),
    ],
)
def test_a_board_gets_its_profile(board, emulated, expected):
    facts = {"arch": "aarch64"} if board is None else {"arch": "aarch64", "board": board}
    assert profile_of(facts, emulated) == expected


def test_profiles_are_found_by_their_names():
    assert {name: profile.name for name, profile in PROFILES.items()} == {
        "rpi4": "rpi4",
        "generic": "generic",
        "emulated": "emulated",
    }
