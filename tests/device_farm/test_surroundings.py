"""Snapshots of fake boards and of this very machine, and the evidence made from them."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from machine_trees import CPUFREQ, QUIET, THROTTLED, raspberry_pi_4

from device_farm.worker.firmware import FLAGS
from device_farm.worker.surroundings import Snapshot, Surroundings, summarise

TICK = 1 / os.sysconf("SC_CLK_TCK")
UNKNOWN = Snapshot(
    at_seconds=100.0,
    cores=2,
    **{
        field.name: None
        for field in dataclasses.fields(Snapshot)
        if field.name not in ("at_seconds", "cores")
    },
)


def test_a_raspberry_pi_tells_its_surroundings(tmp_path):
    found = Surroundings(raspberry_pi_4(tmp_path), cpus=range(4)).snapshot(child=77)
    assert dataclasses.replace(found, at_seconds=0.0) == Snapshot(
        at_seconds=0.0,
        cores=4,
        frequency_mhz=1500.0,
        frequency_limit_mhz=1800.0,
        frequency_nominal_mhz=1800.0,
        governor="ondemand",
        temperature_c=48.212,
        throttled=0x50005,
        under_voltage_alarm=False,
        load_average=0.25,
        busy_seconds=pytest.approx((923 + 160 + 125 + 125) * TICK),
        steal_seconds=0.0,
        own_seconds=pytest.approx(42 * TICK),
        child_seconds=pytest.approx(250 * TICK),
    )


def test_only_the_cpus_that_may_be_used_count(tmp_path):
    root = raspberry_pi_4(tmp_path, {"sys/devices/system/cpu/cpufreq/policy2/scaling_cur_freq": "600000\n"})
    link = root / "sys/devices/system/cpu/cpu2/cpufreq"
    link.unlink()
    link.symlink_to("../cpufreq/policy2")
    found = {cpus: Surroundings(root, cpus=cpus).snapshot() for cpus in [(1, 3), (2,), (1, 2)]}
    assert [(entry.cores, entry.frequency_mhz) for entry in found.values()] == [
        (2, 1500.0),
        (1, 600.0),
        (2, 600.0),  # the slowest counts
    ]
    assert found[(1, 3)].busy_seconds == pytest.approx(285 * TICK)
    assert found[(2,)].busy_seconds == pytest.approx(125 * TICK)


def test_what_a_machine_does_not_tell_is_unknown(tmp_path):
    found = Surroundings(tmp_path, cpus=(0, 1)).snapshot(child=77)
    assert found == dataclasses.replace(UNKNOWN, at_seconds=found.at_seconds)


@pytest.mark.parametrize(
    "name", [THROTTLED, f"{CPUFREQ}/scaling_cur_freq", "sys/class/thermal/thermal_zone0/temp"]
)
def test_a_file_without_a_number_is_unknown(tmp_path, name):
    found = Surroundings(raspberry_pi_4(tmp_path, {name: "<unknown>\n"}), cpus=range(4)).snapshot()
    assert None in (found.throttled, found.frequency_mhz, found.temperature_c)


def test_different_governors_are_all_named(tmp_path):
    root = raspberry_pi_4(
        tmp_path, {"sys/devices/system/cpu/cpufreq/policy2/scaling_governor": "performance\n"}
    )
    link = root / "sys/devices/system/cpu/cpu2/cpufreq"
    link.unlink()
    link.symlink_to("../cpufreq/policy2")
    assert Surroundings(root, cpus=range(4)).snapshot().governor == "ondemand, performance"


@pytest.mark.parametrize(
    ("script", "full", "quick"),
    [
        ("echo throttled=0x80008", 0x80008, 0x50005),
        ("echo VCHI initialization failed; exit 255", 0x50005, 0x50005),
        ("echo throttled=error", 0x50005, 0x50005),
    ],
)
def test_the_firmware_itself_is_asked_unless_it_must_be_quick(tmp_path, script, full, quick):
    root = raspberry_pi_4(tmp_path, {"usr/bin/vcgencmd": f"#!/bin/sh\n[ $1 = get_throttled ] && {script}\n"})
    (root / "usr/bin/vcgencmd").chmod(0o755)
    surroundings = Surroundings(root, cpus=range(4))
    assert surroundings.snapshot().throttled == full
    assert surroundings.snapshot(quick=True).throttled == quick


def test_the_evidence_of_a_disturbed_measurement():
    middle = dataclasses.replace(
        QUIET, at_seconds=105.0, frequency_mhz=1500.0, temperature_c=82.5, throttled=0x4
    )
    after = dataclasses.replace(
        QUIET,
        at_seconds=110.0,
        temperature_c=71.0,
        throttled=0x50000,
        load_average=2.0,
        busy_seconds=1020.0,
        steal_seconds=2.0,
        own_seconds=5.5,
        child_seconds=11.5,
    )
    assert summarise([QUIET, middle, after]) == {
        "cores": 4,
        "frequency_trace_mhz": (1800.0, 1500.0, 1800.0),
        "frequency_min_mhz": 1500.0,
        "frequency_limit_mhz": 1800.0,
        "frequency_nominal_mhz": 1800.0,
        "governor": "performance",
        "temperature_c_before": 48.0,
        "temperature_c_after": 71.0,
        "temperature_c_max": 82.5,
        "throttled": "0x50000",
        "under_voltage_now": False,
        "under_voltage_during": True,
        "frequency_capped_now": False,
        "frequency_capped_during": False,
        "throttled_now": False,
        "throttled_during": True,
        "soft_temperature_limit_now": False,
        "soft_temperature_limit_during": False,
        "load_average_before": 0.5,
        "load_average_after": 2.0,
        "other_cpu_cores": pytest.approx((20 - 0.5 - 9.5) / 10),
        "steal_share": pytest.approx(0.1),
    }


def test_what_no_snapshot_knew_is_unknown_evidence():
    evidence = summarise([UNKNOWN, dataclasses.replace(UNKNOWN, at_seconds=200.0)])
    assert evidence == {**dict.fromkeys(summarise([QUIET])), "cores": 2}


def test_a_span_of_a_few_ticks_says_nothing_about_others():
    after = dataclasses.replace(QUIET, at_seconds=100.2, busy_seconds=1000.4)
    evidence = summarise([QUIET, after])
    assert (evidence["other_cpu_cores"], evidence["steal_share"]) == (None, None)


def test_a_summary_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one snapshot"):
        summarise([])


def test_the_kernels_alarm_counts_where_the_firmware_cannot_be_asked():
    silent = dataclasses.replace(QUIET, throttled=None)
    evidence = summarise([silent, dataclasses.replace(silent, under_voltage_alarm=True), silent])
    told = {key: value for key, value in evidence.items() if key.endswith(("_now", "_during"))}
    assert told.pop("under_voltage_during") is True
    assert told.pop("under_voltage_now") is False
    assert set(told.values()) == {None}


@given(words=st.lists(st.integers(0, 0xFFFFF), min_size=1, max_size=5))
def test_a_flag_was_active_if_a_word_says_so_or_its_occurrence_is_new(words):
    evidence = summarise([dataclasses.replace(QUIET, throttled=word) for word in words])
    for bit, flag in enumerate(FLAGS):
        active = [bool(word & (1 << bit)) for word in words]
        occurred = [bool(word & (1 << (bit + 16))) for word in words]
        assert evidence[f"{flag}_now"] == active[-1]
        assert evidence[f"{flag}_during"] == (any(active) or (any(occurred) and not occurred[0]))


@pytest.fixture
def spinner() -> Iterator[subprocess.Popen]:
    """A process that keeps one CPU busy."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        yield process
        process.kill()


def after(
    surroundings: Surroundings, enough: Callable[[Snapshot], bool], child: int | None = None
) -> Snapshot:
    """The first snapshot that satisfies ``enough``."""
    deadline = time.monotonic() + 60
    while not enough(found := surroundings.snapshot(child)):
        assert time.monotonic() < deadline, found
    return found


def test_another_busy_process_shows_on_this_machine(spinner):
    surroundings = Surroundings()
    before = after(surroundings, lambda found: found.child_seconds > 0.1, spinner.pid)
    later = after(surroundings, lambda found: found.child_seconds > before.child_seconds + 0.5, spinner.pid)
    spun = later.child_seconds - before.child_seconds
    span = later.at_seconds - before.at_seconds
    unnamed = [dataclasses.replace(entry, child_seconds=0.0) for entry in (before, later)]
    assert summarise(unnamed)["other_cpu_cores"] >= 0.7 * spun / span
    assert summarise(unnamed)["other_cpu_cores"] <= before.cores + 0.2


def test_a_suspended_process_uses_no_cpu_on_this_machine(spinner):
    surroundings = Surroundings()
    after(surroundings, lambda found: found.child_seconds > 0, spinner.pid)
    spinner.send_signal(signal.SIGSTOP)
    os.waitpid(spinner.pid, os.WUNTRACED)  # until it has stopped
    before = surroundings.snapshot(spinner.pid)
    later = after(surroundings, lambda found: found.busy_seconds > before.busy_seconds + 0.3, spinner.pid)
    assert later.child_seconds == before.child_seconds > 0


def test_a_process_that_has_ended_leaves_the_others_share_unknown(spinner):
    surroundings = Surroundings()
    before = surroundings.snapshot(spinner.pid)
    spinner.kill()
    spinner.wait()
    later = after(surroundings, lambda found: found.at_seconds > before.at_seconds + 0.3, spinner.pid)
    assert summarise([before, later])["other_cpu_cores"] is None


def test_this_machine_tells_plausible_surroundings():
    surroundings = Surroundings()
    before = surroundings.snapshot()
    later = after(surroundings, lambda found: found.at_seconds > before.at_seconds + 0.3)
    assert before.cores == len(os.sched_getaffinity(0))
    assert 0 < before.own_seconds <= later.own_seconds <= later.busy_seconds
    assert before.busy_seconds < later.busy_seconds
    evidence = summarise([before, later])
    assert 0 <= evidence["other_cpu_cores"] <= before.cores + 0.2
    assert 0 <= evidence["steal_share"] <= 1
    assert evidence["load_average_after"] >= 0
