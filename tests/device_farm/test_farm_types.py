"""What users hand over and get: settings and targets that make sense, and JSON of all that is shown."""

import json
from dataclasses import replace

import pytest

from device_farm.types import (
    Device,
    JobRecord,
    Measurement,
    MeasurementSettings,
    OperatorTime,
    Reference,
    Runtime,
    StoryEntry,
    Target,
    device_to_json,
    job_to_json,
    measurement_to_json,
)

MEASUREMENT = Measurement(
    latency_ms=2.5,
    interval_ms=(2.0, 3.0),
    stable=True,
    effective_samples=2.5,
    stopped_by="interval",
    samples_ms=(2.0, 2.5, 3.0),
    warmup_ms=(9.0,),
    cpu_ms=(2.0, 2.4, 3.1),
    model_sha256="ab" * 32,
    device_id="d1",
    device_name="pi",
    device_class="raspberrypi-4b",
    emulated=False,
    profile="rpi4",
    runtime="tflite-2.14.0",
    runtime_version="2.14.0",
    threads=4,
    delegate="xnnpack",
    measured_at=1.5,
    evidence={"throttled": None, "governor": "performance", "frequency_trace_mhz": (1500.0, 600.0)},
    operators=(OperatorTime(0, "ADD", "y", 2.5),),
)


def as_json(value):
    return json.loads(json.dumps(value))


def test_a_measurement_becomes_plain_json():
    assert as_json(measurement_to_json(MEASUREMENT)) == {
        "latency_ms": 2.5,
        "interval_ms": [2.0, 3.0],
        "stable": True,
        "effective_samples": 2.5,
        "stopped_by": "interval",
        "samples_ms": [2.0, 2.5, 3.0],
        "warmup_ms": [9.0],
        "cpu_ms": [2.0, 2.4, 3.1],
        "model_sha256": "ab" * 32,
        "device_id": "d1",
        "device_name": "pi",
        "device_class": "raspberrypi-4b",
        "emulated": False,
        "profile": "rpi4",
        "runtime": "tflite-2.14.0",
        "runtime_version": "2.14.0",
        "threads": 4,
        "delegate": "xnnpack",
        "measured_at": 1.5,
        "evidence": {"throttled": None, "governor": "performance", "frequency_trace_mhz": [1500.0, 600.0]},
        "cached": False,
        "operators": [{"index": 0, "name": "ADD", "output": "y", "time_ms": 2.5}],
    }
    unstable = replace(MEASUREMENT, stable=False, interval_ms=None)
    assert as_json(measurement_to_json(unstable))["interval_ms"] is None


def test_a_device_becomes_plain_json():
    runtime = Runtime("tflite-2.14.0", "2.14.0", ("none",))
    references = {"tflite-2.14.0/none": Reference(1.0, 1.1, 0.9)}
    device = Device(
        *("d1", "pi", "raspberrypi-4b", {"room": "lab"}, {"cores": "4"}, (runtime,), "idle"),
        profile="rpi4",
        standing="quarantined",
        standing_reason="odd",
        references=references,
    )
    assert as_json(device_to_json(device)) == {
        "device_id": "d1",
        "name": "pi",
        "device_class": "raspberrypi-4b",
        "labels": {"room": "lab"},
        "facts": {"cores": "4"},
        "runtimes": [{"name": "tflite-2.14.0", "version": "2.14.0", "delegates": ["none"]}],
        "state": "idle",
        "emulated": False,
        "profile": "rpi4",
        "standing": "quarantined",
        "standing_reason": "odd",
        "references": {"tflite-2.14.0/none": {"baseline_ms": 1.0, "recent_ms": 1.1, "scale": 0.9}},
    }


def test_a_job_becomes_plain_json():
    record = JobRecord(
        *("j1", "failed", 5.0, "ab" * 32, Target({"soc": "x"}), 3, None, "broken"),
        story=(StoryEntry(5.0, "submitted"),),
    )
    assert as_json(job_to_json(record)) == {
        "job_id": "j1",
        "state": "failed",
        "submitted_at": 5.0,
        "model_sha256": "ab" * 32,
        "target": {"labels": {"soc": "x"}, "runtime": "", "threads": 1, "delegate": "xnnpack"},
        "priority": 3,
        "latency_ms": None,
        "message": "broken",
        "story": [{"at": 5.0, "text": "submitted"}],
    }


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"interval_width": 0}, "interval_width must be 0.0001 to 1.0, got 0"),
        ({"interval_width": 1.5}, "interval_width must be 0.0001 to 1.0, got 1.5"),
        ({"min_invocations": 5}, "min_invocations must be 6 to 100000, got 5"),
        ({"max_invocations": 29}, "max_invocations must be 30 to 100000, got 29"),
        ({"warmup_seconds": -1}, "warmup_seconds must be 0 to 86400.0, got -1"),
        ({"timeout_seconds": 0}, "timeout_seconds must be 0.001 to 86400.0, got 0"),
        ({"sampling_seconds": float("nan")}, "sampling_seconds must be 0 to 86400.0, got nan"),
        ({"memory_limit_mb": 0}, "memory_limit_mb must be 1 to 1048576, got 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        MeasurementSettings(**settings)


@pytest.mark.parametrize(("target", "message"), [({"threads": 0}, "threads"), ({"delegate": "gpu"}, "gpu")])
def test_targets_that_make_no_sense_are_refused(target, message):
    with pytest.raises(ValueError, match=message):
        Target(**target)
