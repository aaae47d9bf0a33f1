import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_farm.types import (
    Device,
    Measurement,
    MeasurementSettings,
    Runtime,
    Target,
    device_to_json,
    measurement_from_json,
    measurement_to_json,
)

MEASUREMENT = Measurement(
    latency_ms=2.5,
    interval_ms=(2.0, 3.0),
    samples_ms=(2.0, 2.5, 3.0),
    warmup_ms=(9.0,),
    cpu_ms=(2.0, 2.4, 3.1),
    model_sha256="ab" * 32,
    device_id="d1",
    device_name="pi",
    device_class="raspberrypi-4b",
    emulated=False,
    runtime="tflite-2.14.0",
    runtime_version="2.14.0",
    threads=4,
    delegate="xnnpack",
    measured_at=1.5,
    evidence={"throttled": None, "governor": "performance", "threads": 4, "ratio": 3.5, "hot": False},
)
times = st.floats(0.001, 1e5)


@given(
    latency_ms=times,
    samples_ms=st.lists(times, max_size=5).map(tuple),
    delegate=st.sampled_from(["none", "xnnpack"]),
    evidence=st.dictionaries(
        st.text(max_size=5),
        st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(allow_nan=False),
    ),
)
def test_a_measurement_survives_json(latency_ms, samples_ms, delegate, evidence):
    measurement = replace(
        MEASUREMENT, latency_ms=latency_ms, samples_ms=samples_ms, delegate=delegate, evidence=evidence
    )
    assert measurement_from_json(json.loads(json.dumps(measurement_to_json(measurement)))) == measurement


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("latency_ms", "2.5", r"latency_ms must be a finite number, got '2.5'"),
        ("latency_ms", True, r"latency_ms must be a finite number, got True"),
        ("samples_ms", [1.0, float("nan")], r"samples_ms\[1\] must be a finite number"),
        ("samples_ms", 3.0, r"samples_ms must be a list of numbers"),
        ("interval_ms", [1.0], r"interval_ms must hold 2 numbers, got 1"),
        ("threads", 4.0, r"threads must be int, got 4.0"),
        ("emulated", 0, r"emulated must be bool, got 0"),
        ("delegate", "gpu", r"delegate must be one of none, xnnpack, got 'gpu'"),
        ("evidence", {"a": [1]}, r"evidence\['a'\] must be text, number"),
        ("evidence", [], r"evidence must be an object"),
    ],
)
def test_a_wrong_value_is_refused_by_name(key, value, message):
    with pytest.raises(ValueError, match=message):
        measurement_from_json({**measurement_to_json(MEASUREMENT), key: value})


def test_missing_and_unknown_keys_are_refused_by_name():
    data = measurement_to_json(MEASUREMENT)
    del data["runtime"]
    data["speed"] = 1
    with pytest.raises(ValueError, match=r"missing keys \['runtime'\], unknown keys \['speed'\]"):
        measurement_from_json(data)


def test_a_device_becomes_plain_json():
    runtime = Runtime("tflite-2.14.0", "2.14.0", ("none",))
    device = Device("d1", "pi", "raspberrypi-4b", {"room": "lab"}, {"cores": "4"}, (runtime,), "idle")
    assert json.loads(json.dumps(device_to_json(device))) == {
        "device_id": "d1",
        "name": "pi",
        "device_class": "raspberrypi-4b",
        "labels": {"room": "lab"},
        "facts": {"cores": "4"},
        "runtimes": [{"name": "tflite-2.14.0", "version": "2.14.0", "delegates": ["none"]}],
        "state": "idle",
        "emulated": False,
    }


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"min_invocations": 5}, "min_invocations must be 6 to 100000, got 5"),
        ({"max_invocations": 29}, "max_invocations must be 30 to 100000, got 29"),
        ({"warmup_invocations": -1}, "warmup_invocations must be 0 to 100000, got -1"),
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
