from dataclasses import replace

import pytest

from device_farm.acceptance import (
    RefusedModel,
    RefusedReport,
    accept_report,
    check_model_header,
    check_model_size,
)
from device_farm.jobs import Job, RunReport
from device_farm.types import Measurement, MeasurementSettings, Runtime, Target

HASH = "ab" * 32
JOB = Job("j", HASH, Target(threads=2), MeasurementSettings(warmup_invocations=1, max_invocations=30))
SAMPLES = tuple(float(value) for value in range(1, 31))
REPORT = RunReport(
    HASH, "tflite-2.14.0", "2.14.0", 2, "xnnpack", SAMPLES, (50.0,), SAMPLES, 12.0, {"throttled": None}
)


def test_an_honest_report_becomes_a_measurement_of_the_registered_device(make_registration):
    assert accept_report(REPORT, JOB, make_registration()) == Measurement(
        latency_ms=15.5,
        interval_ms=(10.0, 21.0),  # ranks 10 and 21 of 30
        samples_ms=SAMPLES,
        warmup_ms=(50.0,),
        cpu_ms=SAMPLES,
        model_sha256=HASH,
        device_id="d1",
        device_name="board-d1",
        device_class="raspberrypi-4b",
        emulated=False,
        runtime="tflite-2.14.0",
        runtime_version="2.14.0",
        threads=2,
        delegate="xnnpack",
        measured_at=12.0,
        evidence={"throttled": None},
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"samples_ms": ()}, "0 samples, wanted 30 to 30"),
        ({"samples_ms": (*SAMPLES, 1.0)}, "31 samples"),
        ({"samples_ms": (*SAMPLES[1:], float("nan"))}, "samples_ms holds nan"),
        ({"samples_ms": (*SAMPLES[1:], -1.0)}, "samples_ms holds -1.0"),
        ({"samples_ms": (*SAMPLES[1:], 0.0)}, "samples_ms holds 0.0"),
        ({"samples_ms": (*SAMPLES[1:], float("inf"))}, "samples_ms holds inf"),
        ({"warmup_ms": (float("nan"),)}, "warmup_ms holds nan"),
        ({"warmup_ms": ()}, "0 warm-ups"),
        ({"cpu_ms": SAMPLES[1:]}, "29 CPU times"),
        ({"cpu_ms": (*SAMPLES[1:], -1.0)}, "cpu_ms holds -1.0"),
        ({"measured_at": float("nan")}, "measured_at is nan"),
        ({"model_sha256": "cd" * 32}, "answers another question"),
        ({"threads": 4}, "answers another question"),
        ({"delegate": "none"}, "answers another question"),
        ({"runtime": "tflite-9"}, "answers another question"),
        ({"runtime_version": "2.5.0"}, "answers another question"),
    ],
)
def test_nonsense_is_refused(change, message, make_registration):
    with pytest.raises(RefusedReport, match=message):
        accept_report(replace(REPORT, **change), JOB, make_registration())


def test_an_answer_of_another_runtime_than_asked_for_is_refused(make_registration):
    old = Runtime("tflite-2.5.0", "2.5.0", ("none", "xnnpack"))
    device = make_registration(runtimes=(*make_registration().runtimes, old))
    job = replace(JOB, target=Target(runtime="tflite-2.5.0", threads=2))
    with pytest.raises(RefusedReport, match="answers another question"):
        accept_report(REPORT, job, device)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"", r"empty \(0 bytes\)"),
        (b"TFL3", "only 4 bytes long"),
        (b"\x89PNG\r\n\x1a\n", "not a TFLite file"),
    ],
)
def test_a_file_without_the_identifier_is_refused(header, message):
    with pytest.raises(RefusedModel, match=message):
        check_model_header(header)


def test_the_identifier_at_bytes_4_to_8_is_enough_for_the_header():
    check_model_header(b"\x20\0\0\0TFL3")


def test_a_model_above_the_bound_is_refused():
    check_model_size(1024 * 1024, limit=1024 * 1024)
    with pytest.raises(RefusedModel, match="larger than the 1 MiB"):
        check_model_size(1024 * 1024 + 1, limit=1024 * 1024)
