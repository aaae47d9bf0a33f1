"""What the coordinator accepts from workers, and how it is judged."""

import math
from dataclasses import replace

import pytest
from farm_reports import SIX, introduction, job, report

from device_farm.coordinator.acceptance import RefusedReport, accept_report, check_registration, why_invalid
from device_farm.measuring.profiles import PROFILES
from device_farm.measuring.statistics import assess
from device_farm.types import Measurement, Runtime, Target

DEVICE = introduction("d1").registration


def test_an_honest_report_becomes_a_measurement_of_the_registered_device():
    assessment = assess(SIX)
    assert accept_report(report(evidence={"governor": "performance"}), job(), DEVICE) == Measurement(
        latency_ms=3.5,
        interval_ms=assessment.interval_ms,
        stable=True,
        effective_samples=assessment.effective_samples,
        stopped_by="max_invocations",
        samples_ms=SIX,
        warmup_ms=(),
        cpu_ms=SIX,
        model_sha256="ab" * 32,
        device_id=DEVICE.device_id,
        device_name="board-d1",
        device_class="raspberrypi-4b",
        emulated=False,
        profile="generic",
        runtime="tflite-2.14.0",
        runtime_version="2.14.0",
        threads=1,
        delegate="xnnpack",
        measured_at=1.0,
        evidence={"governor": "performance", "reference_before_ms": 1.0, "reference_after_ms": 1.0},
    )


def test_the_device_says_nothing_about_itself_in_a_report():
    device = replace(DEVICE, emulated=True, name="another", device_class="x86", profile="rpi4")
    found = accept_report(report(), job(), device)
    assert (found.emulated, found.device_name, found.device_class, found.profile) == (
        *(True, "another", "x86", "rpi4"),
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_sha256": "cd" * 32}, "answers another question"),
        ({"threads": 2}, "answers another question"),
        ({"delegate": "none"}, "answers another question"),
        ({"runtime": "tflite-9.9.9"}, "answers another question"),
        ({"runtime_version": "9.9.9"}, "answers another question"),
        ({"samples_ms": ()}, "0 samples, wanted 6 to 6"),
        ({"samples_ms": (1.0,) * 7}, "7 samples, wanted 6 to 6"),
        ({"cpu_ms": (1.0,) * 5}, "5 CPU times for 6 samples"),
        ({"samples_ms": (math.nan,) * 6}, "samples_ms holds nan"),
        ({"samples_ms": (1.0,) * 5 + (math.inf,)}, "samples_ms holds inf"),
        ({"samples_ms": (1.0,) * 5 + (0.0,)}, r"samples_ms holds 0\.0"),
        ({"samples_ms": (1.0,) * 5 + (-1.0,)}, r"samples_ms holds -1\.0"),
        ({"warmup_ms": (-2.0,)}, r"warmup_ms holds -2\.0"),
        ({"cpu_ms": (-1.0,) * 6}, r"cpu_ms holds -1\.0"),
        ({"cpu_ms": (math.nan,) * 6}, "cpu_ms holds nan"),
        ({"reference_before_ms": ()}, "reference_before_ms is empty"),
        ({"reference_after_ms": (0.0,)}, r"reference_after_ms holds 0\.0"),
        ({"measured_at": math.nan}, "measured_at is nan"),
        ({"measured_at": -1.0}, r"measured_at is -1\.0"),
    ],
)
def test_nonsense_is_refused(change, message):
    with pytest.raises(RefusedReport, match=message):
        accept_report(report(**change), job(), DEVICE)


def test_an_answer_of_another_runtime_than_asked_for_is_refused():
    old = Runtime("tflite-2.5.0", "2.5.0", ("none",))
    device = replace(DEVICE, runtimes=(*DEVICE.runtimes, old))
    asked = job(target=Target(runtime="tflite-2.5.0", delegate="none"))
    with pytest.raises(RefusedReport, match="answers another question"):
        accept_report(report(delegate="none"), asked, device)
    honest = report(runtime="tflite-2.5.0", runtime_version="2.5.0", delegate="none")
    assert accept_report(honest, asked, device).runtime == "tflite-2.5.0"


def test_samples_that_drift_have_no_interval():
    drifting = tuple(1.0 + index / 100 for index in range(100))
    settings = replace(job().settings, max_invocations=100)
    found = accept_report(report(drifting), job(settings=settings), DEVICE)
    assert (found.stable, found.interval_ms) == (False, None)


def test_evidence_is_held_against_the_devices_profile():
    hot = report(evidence={"temperature_c_max": 84.0, "governor": "ondemand"})
    assert why_invalid(hot, PROFILES["generic"]) is None
    reason = why_invalid(hot, PROFILES["rpi4"])
    assert reason is not None
    assert "84" in reason
    assert "ondemand" in reason
    assert why_invalid(report(), PROFILES["rpi4"]) is None  # unknown is not bad


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"profile": "rpi9"}, "profile must be one of rpi4, generic, emulated, got 'rpi9'"),
        ({"references_ms": {"a/b": ()}}, "references_ms of a/b are"),
        ({"references_ms": {"a/b": (1.0, math.nan)}}, "references_ms of a/b are"),
        ({"references_ms": {"a/b": (-1.0,)}}, "references_ms of a/b are"),
    ],
)
def test_a_registration_that_makes_no_sense_is_refused(change, message):
    check_registration(DEVICE)
    with pytest.raises(ValueError, match=message):
        check_registration(replace(DEVICE, **change))
