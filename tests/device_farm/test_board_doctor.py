"""What the doctor says of boards: pure judgements over what was found out."""

from dataclasses import replace

import pytest
from farm_screens import screen

from device_farm.cli.doctor_command import diagnosis
from device_farm.types import Runtime
from device_farm.worker.doctor import (
    Check,
    CredentialsFound,
    FarmFound,
    Inspection,
    RuntimeFound,
    checks_to_json,
    examine,
    fit,
)
from device_farm.worker.surroundings import Snapshot, summarise

REST = Snapshot(
    at_seconds=0.0,
    cores=4,
    frequency_mhz=1500.0,
    frequency_limit_mhz=1500.0,
    frequency_nominal_mhz=1500.0,
    governor="performance",
    temperature_c=48.0,
    throttled=0x0,
    under_voltage_alarm=False,
    load_average=0.05,
    busy_seconds=10.0,
    steal_seconds=0.0,
    own_seconds=1.0,
    child_seconds=0.0,
)


def at_rest(busy_cores: float = 0.0, **changes):
    """Evidence of one second in which other programs kept so many cores busy."""
    later = replace(REST, at_seconds=1.0, busy_seconds=10.0 + busy_cores, **changes)
    return summarise([replace(REST, **changes), later])


NEW_RUNTIME = RuntimeFound(
    python="/usr/bin/python3",
    runtime=Runtime("tflite-2.14.0", "2.14.0", ("none", "xnnpack")),
    references_ms={"none": (4.0, 4.02), "xnnpack": (2.1, 2.1)},
)
GOOD_BOARD = Inspection(
    python_version=(3, 11, 2),
    device_class="raspberrypi-4b",
    profile="rpi4",
    evidence=at_rest(),
    runtimes=(NEW_RUNTIME,),
    memory_mb=3000.0,
    state="/var/lib/device-farm",
    disk_mb=20_000.0,
    state_problem="",
    clock_synchronised=True,
    credentials=CredentialsFound("/etc/worker.json", role="worker"),
    farm=FarmFound("farm.lan:50051"),
)
GOOD_CHECKS = (
    Check("Python", "ok", "3.11.2"),
    Check("runtime", "ok", "tflite-2.14.0 with none, xnnpack in /usr/bin/python3"),
    Check("profile", "ok", "rpi4, for raspberrypi-4b"),
    Check("governor", "ok", "performance"),
    Check("frequency", "ok", "1500 MHz, limit 1500 MHz"),
    Check("temperature", "ok", "48.0 °C"),
    Check("power now", "ok", "nothing wrong (0x0)"),
    Check("power earlier", "ok", "nothing wrong"),
    Check("cores", "ok", "4"),
    Check("other programs", "ok", "0.00 cores busy during a second, load average 0.05"),
    Check("stolen time", "ok", "0.0 %"),
    Check("free memory", "ok", "3000 MB"),
    Check("free disk", "ok", "20000 MB at /var/lib/device-farm"),
    Check("clock", "ok", "synchronised"),
    Check(
        "stability", "ok", "reference model with tflite-2.14.0/none: 4.000 ms, again 4.020 ms: 0.5 % apart"
    ),
    Check(
        "stability", "ok", "reference model with tflite-2.14.0/xnnpack: 2.100 ms, again 2.100 ms: 0.0 % apart"
    ),
    Check("credentials", "ok", "/etc/worker.json, for its owner only, role worker"),
    Check("coordinator", "ok", "farm.lan:50051 lets a worker in"),
)


def test_a_board_without_fault_may_join():
    checks = examine(GOOD_BOARD)
    assert checks == GOOD_CHECKS
    assert fit(checks)


def differing(**changes) -> list[Check]:
    """The checks that differ from a good board's."""
    return [check for check in examine(replace(GOOD_BOARD, **changes)) if check not in GOOD_CHECKS]


@pytest.mark.parametrize(
    ("evidence", "subject", "found"),
    [
        ({"governor": "ondemand"}, "governor", "is ondemand; it must be performance"),
        ({"frequency_mhz": 600.0}, "frequency", "fell to 600 MHz"),
        ({"temperature_c": 81.0}, "temperature", "reached 81.0 °C; it must stay below 80.0 °C"),
        ({"cores": 0}, "cores", "0 cores may be used, but 1 thread"),
        ({"busy_cores": 0.9}, "other programs", "0.90 of 4 cores busy; at most 0.20 are allowed"),
    ],
)
def test_what_would_make_measurements_invalid_is_a_problem_with_advice(evidence, subject, found):
    (check,) = differing(evidence=at_rest(**evidence))
    assert (check.subject, check.verdict) == (subject, "problem")
    assert found in check.found
    assert check.advice


def test_under_voltage_now_is_the_problem_and_what_came_of_it_earlier_a_warning():
    now, earlier = differing(evidence=at_rest(throttled=0x50005))
    assert (now.subject, now.verdict) == ("power now", "problem")
    assert now.found == "the power supply's voltage was too low (get_throttled: 0x50005)"
    assert now.advice == "use the board's own power supply, with a short cable"
    assert (earlier.subject, earlier.verdict, earlier.found) == (
        "power earlier",
        "warning",
        "under-voltage, throttled",
    )


def test_trouble_that_is_over_is_a_warning_and_the_board_may_join():
    changed = replace(GOOD_BOARD, evidence=at_rest(throttled=0xE0000))
    (check,) = [check for check in examine(changed) if check not in GOOD_CHECKS and check.verdict != "ok"]
    assert check == Check(
        "power earlier",
        "warning",
        "frequency capped, throttled, soft temperature limit",
        "check power supply and cooling under load; a restart clears this memory",
    )
    assert fit(examine(changed))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"evidence": at_rest(temperature_c=72.5)},
            Check(
                "temperature",
                "warning",
                "72.5 °C",
                "cool the board: it does nothing now, and 80 °C end a measurement",
            ),
        ),
        (
            {
                "evidence": at_rest(
                    frequency_limit_mhz=1500.0, frequency_mhz=1800.0, frequency_nominal_mhz=1800.0
                )
            },
            Check(
                "frequency",
                "warning",
                "1800 MHz, limit 1500 MHz; the hardware can do 1800 MHz",
                "raise scaling_max_freq, unless the lower limit is meant",
            ),
        ),
        (
            {"memory_mb": 700.0},
            Check("free memory", "warning", "700 MB", "end other programs: a model may take 1024 MB"),
        ),
        (
            {"memory_mb": 100.0},
            Check("free memory", "problem", "100 MB", "end other programs: a model may take 1024 MB"),
        ),
        (
            {"disk_mb": 10.0},
            Check("free disk", "problem", "10 MB at /var/lib/device-farm", "free some space for models"),
        ),
        (
            {"state_problem": "/etc cannot be written by this user"},
            Check(
                "state folder",
                "problem",
                "/etc cannot be written by this user",
                "name another folder with --state",
            ),
        ),
        (
            {"clock_synchronised": False},
            Check(
                "clock",
                "warning",
                "the kernel says that nothing synchronises it",
                "times of measurements may be wrong: sudo timedatectl set-ntp true",
            ),
        ),
        (
            {"python_version": (3, 9, 2)},
            Check("Python", "problem", "3.9.2", "install Python 3.11 and the package there"),
        ),
        (
            {"credentials": CredentialsFound("/u.json", role="user")},
            Check(
                "credentials",
                "problem",
                "/u.json is for the role user",
                "a board needs the coordinator's worker.json, and no more than that",
            ),
        ),
        (
            {"farm": FarmFound("farm.lan:50051", problem="no farm answers at farm.lan:50051: refused")},
            Check(
                "coordinator",
                "problem",
                "no farm answers at farm.lan:50051: refused",
                "see that `device-farm serve` runs there and that nothing blocks the way to farm.lan:50051",
            ),
        ),
        (
            {"farm": FarmFound("farm.lan:50051", problem="no token", refused=True)},
            Check("coordinator", "problem", "no token", "give it the file worker.json with --credentials"),
        ),
    ],
)
def test_each_fault_has_its_verdict_and_one_line_on_what_to_do(changes, expected):
    assert differing(**changes) == [expected]


def test_a_runtime_that_does_not_work_is_a_problem_and_has_no_stability():
    broken = RuntimeFound("/bin/false", problem="/bin/false is no Python")
    (check,) = differing(runtimes=(NEW_RUNTIME, broken))
    assert (check.subject, check.verdict, check.found) == ("runtime", "problem", "/bin/false is no Python")


def test_a_runtime_without_xnnpack_is_a_warning():
    old = RuntimeFound("/old/python", Runtime("tflite-1.14.0", "1.14.0", ("none",)))
    (check,) = differing(runtimes=(NEW_RUNTIME, old))
    assert (check.verdict, check.found) == ("warning", "tflite-1.14.0 with none in /old/python")


@pytest.mark.parametrize(
    ("profile", "medians", "verdict"),
    [
        ("rpi4", (2.0, 2.05), "ok"),
        ("rpi4", (2.0, 2.07), "problem"),  # 3.5 %: more than the 3 % that the profile tolerates around a job
        ("rpi4", (2.07, 2.0), "problem"),
        ("generic", (2.0, 2.07), "ok"),
        ("generic", (2.0, 2.2), "warning"),
        ("generic", (2.0, 5.1), "problem"),
    ],
)
def test_two_runs_of_the_reference_model_must_agree_as_closely_as_the_profile_asks(profile, medians, verdict):
    runtime = replace(NEW_RUNTIME, references_ms={"xnnpack": medians})
    checks = examine(replace(GOOD_BOARD, profile=profile, runtimes=(runtime,)))
    assert [check.verdict for check in checks if check.subject == "stability"] == [verdict]


BLIND = Snapshot(0.0, 2, *[None] * 12)


def test_what_cannot_be_read_is_unknown_and_keeps_no_board_away():
    checks = examine(
        replace(
            GOOD_BOARD,
            profile="generic",
            evidence=summarise([BLIND]),
            memory_mb=None,
            clock_synchronised=None,
            credentials=None,
            farm=None,
        )
    )
    assert [check.subject for check in checks if check.verdict == "unknown"] == [
        *("governor", "frequency", "temperature", "power now", "power earlier", "other programs"),
        *("stolen time", "free memory", "clock"),
    ]
    assert {check.found for check in checks if check.verdict == "unknown"} == {"cannot be read here"}
    assert fit(checks)


def test_a_pi_is_told_what_its_profile_would_like_to_know():
    checks = examine(replace(GOOD_BOARD, evidence=summarise([BLIND])))
    (profile,) = [check for check in checks if check.subject == "profile"]
    assert profile.verdict == "unknown"
    assert "it would like to know throttled, governor" in profile.found


def test_a_machine_of_the_generic_profile_is_advised_and_not_kept_away():
    checks = examine(replace(GOOD_BOARD, profile="generic", evidence=at_rest(governor="powersave")))
    assert Check("governor", "warning", "powersave", "performance would make latencies steadier") in checks
    assert fit(checks)


def test_the_diagnosis_ends_in_what_follows_from_it():
    checks = (
        Check("Python", "ok", "3.11.2"),
        Check("governor", "problem", "ondemand", "set performance"),
        Check("clock", "warning", "wrong"),
        Check("temperature", "unknown", "cannot be read here"),
    )
    assert screen(diagnosis(checks), 60) == [
        "ok       Python       3.11.2",
        "problem  governor     ondemand",
        "                      -> set performance",
        "warning  clock        wrong",
        "unknown  temperature  cannot be read here",
        "",
        "This board should not join yet: 1 problem, 1 warning.",
    ]
    assert screen(diagnosis(checks[:1])) == ["ok  Python  3.11.2", "", "This board may join (0 warnings)."]


def test_programs_get_the_same_checks():
    assert checks_to_json((Check("clock", "warning", "wrong", "set it"),)) == {
        "fit": True,
        "checks": [{"subject": "clock", "verdict": "warning", "found": "wrong", "advice": "set it"}],
    }
