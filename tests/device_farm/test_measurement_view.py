"""A measurement as people read it."""

import time
from dataclasses import replace

import pytest
from farm_screens import screen
from hypothesis import given
from hypothesis import strategies as st

from device_farm.cli.measurement_view import measurement_view, operator_view
from device_farm.cli.wording import age, known, latency, milliseconds
from device_farm.types import Measurement, OperatorTime
from device_farm.worker.surroundings import Snapshot, summarise

MEASURED_AT = 1_660_000_000.0  # 2022-08-08 23:06:40 UTC


@pytest.fixture(autouse=True)
def _utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def snapshot(at_seconds: float, **changes) -> Snapshot:
    known = Snapshot(
        at_seconds=at_seconds,
        cores=4,
        frequency_mhz=1500.0,
        frequency_limit_mhz=1500.0,
        frequency_nominal_mhz=1500.0,
        governor="performance",
        temperature_c=54.2,
        throttled=0x0,
        under_voltage_alarm=False,
        load_average=0.25,
        busy_seconds=10 + 1.04 * at_seconds,
        steal_seconds=0.0,
        own_seconds=0.0,
        child_seconds=at_seconds,
    )
    return replace(known, **changes)


def evidence(*snapshots: Snapshot):
    return {
        **summarise(snapshots),
        "delegate": "xnnpack",
        "delegate_partitions": 1,
        "load_ms": 12.34,
        "output_sha256": "ab" * 32,
        "peak_memory_mb": 88.1,
        "reference_before_ms": 2.1,
        "reference_after_ms": 2.11,
        "runner_python": "3.11.7",
        "runner_start_ms": 101.0,
        "runtime_package": "tflite_runtime",
        "runtime_version": "2.14.0",
        "threads": 1,
    }


COOL = evidence(snapshot(0.0), snapshot(5.0), snapshot(10.0, temperature_c=57.0))
GOOD = Measurement(
    latency_ms=50.412,
    interval_ms=(50.21, 50.61),
    stable=True,
    effective_samples=88.2,
    stopped_by="interval",
    samples_ms=(50.2, 50.4, 50.6) * 40,
    warmup_ms=(60.0, 51.0),
    cpu_ms=(50.0, 50.0, 50.0) * 40,
    model_sha256="0123456789abcdef" * 4,
    device_id="3f2a" * 8,
    device_name="pi-03",
    device_class="raspberrypi-4b",
    emulated=False,
    profile="rpi4",
    runtime="tflite-2.14.0",
    runtime_version="2.14.0",
    threads=1,
    delegate="xnnpack",
    measured_at=MEASURED_AT,
    evidence=COOL,
)


def test_a_good_measurement_tells_latency_origin_and_evidence():
    assert screen(measurement_view(GOOD, "net.tflite", profiled=False)) == [
        "50.4 ms (50.2 to 50.6, 95 %)",
        "",
        "model            net.tflite (sha256 0123456789ab)",
        "device           pi-03 (raspberrypi-4b)",
        "runtime          tflite-2.14.0, 1 thread, delegate xnnpack",
        "measured         2022-08-08 23:06:40",
        "samples          120 invocations after 2 of warm-up, worth 88 independent ones",
        "stopped          the interval is as narrow as asked",
        "CPU / wall       0.99 cores busy with an invocation",
        "rules            those of profile rpi4",
        "delegate         xnnpack, has 1 part of the graph",
        "clock            1500 MHz throughout (limit 1500, hardware 1500; 3 readings)",
        "governor         performance",
        "temperature      54.2 °C before, 57 °C after, at most 57 °C",
        "throttling       none during the measurement; nothing since the board was started (0x0)",
        "other programs   kept 0.04 of 4 cores busy",
        "load average     0.25 before, 0.25 after",
        "stolen time      0.0 %",
        "peak memory      88.1 MB",
        "load time        12.34 ms",
        "reference model  2.1 ms before, 2.11 ms after",
        "child process    tflite_runtime under Python 3.11.7, ready after 101 ms",
        "first output     sha256 abababababab",
    ]


def test_what_could_not_be_read_is_unknown_and_never_left_out():
    lines = screen(measurement_view(replace(GOOD, evidence={}), "net.tflite", profiled=False))
    unknown = [line.split("  ")[0] for line in lines if line.endswith("unknown")]
    assert unknown == [
        *("delegate", "clock", "governor", "temperature", "throttling", "other programs", "load average"),
        *("stolen time", "peak memory", "load time", "reference model", "child process", "first output"),
    ]


def test_evidence_without_words_of_its_own_is_shown_as_it_is():
    more = {**COOL, "fan_rpm": 1200, "shared_with": None, "trace": (1.0, 2.5)}
    lines = screen(measurement_view(replace(GOOD, evidence=more), "net.tflite", profiled=False))
    assert [line.split(maxsplit=2) for line in lines[-3:]] == [
        ["fan", "rpm", "1200"],
        ["shared", "with", "unknown"],
        ["trace", "1,", "2.5"],
    ]


def test_an_unstable_measurement_has_no_interval_and_says_what_that_means():
    drifting = replace(GOOD, interval_ms=None, stable=False, stopped_by="sampling_seconds")
    lines = screen(measurement_view(drifting, "net.tflite", profiled=False), width=80)
    assert lines[:4] == [
        "50.41 ms  UNSTABLE",
        "The samples drift, so there is no one latency to speak of: the number is their",
        "median, without an interval. Compare it with nothing; measure again when the",
        "device is cool and does nothing else.",
    ]
    assert "95 %" not in "\n".join(lines)


def test_a_cached_answer_says_so_and_when_it_was_measured():
    lines = screen(measurement_view(replace(GOOD, cached=True), "net.tflite", profiled=False))
    assert lines[0] == "50.4 ms (50.2 to 50.6, 95 %)  (cached: measured 2022-08-08 23:06:40)"
    assert lines[5].endswith("23:06:40, the answer to an earlier job; --fresh measures anew")


def test_an_emulated_device_is_named_so_in_the_first_line_and_in_words():
    lines = screen(measurement_view(replace(GOOD, emulated=True), "net.tflite", profiled=False))
    assert lines[:2] == [
        "50.4 ms (50.2 to 50.6, 95 %)  EMULATED",
        "EMULATED device: this is not a latency of real hardware.",
    ]


def test_throttling_during_and_before_the_measurement_are_told_apart():
    def throttling(*snapshots):
        lines = screen(measurement_view(replace(GOOD, evidence=evidence(*snapshots)), "m", profiled=False))
        return next(line for line in lines if line.startswith("throttling"))

    earlier = throttling(snapshot(0.0, throttled=0x50000), snapshot(9.0, throttled=0x50000))
    during = throttling(snapshot(0.0, throttled=0x50000), snapshot(9.0, throttled=0x50005))
    assert earlier == (
        "throttling       none during the measurement; "
        "under-voltage, throttled since the board was started (0x50000)"
    )
    assert during == "throttling       under-voltage, throttled DURING the measurement (0x50005)"


def test_operators_come_slowest_first_with_their_shares_and_their_sum_beside_the_latency():
    operators = (
        OperatorTime(0, "CONV_2D", "stem;stem/BatchNorm", 10.0),
        OperatorTime(1, "ADD", "sum", 2.5),
        OperatorTime(2, "CONV_2D", "head", 27.5),
    )
    assert screen(operator_view(operators, 50.0)) == [
        "OPERATOR         TIME    SHARE  OUTPUT",
        "#2 CONV_2D  27.500 ms   68.8 %  head",
        "#0 CONV_2D  10.000 ms   25.0 %  stem",
        "#1 ADD       2.500 ms    6.2 %  sum",
        "all 3       40.000 ms  100.0 %  80 % of the latency",
    ]


def test_many_operators_end_in_one_line_for_the_rest():
    operators = tuple(OperatorTime(index, "ADD", f"y{index}", 1.0) for index in range(40))
    lines = screen(operator_view(operators, 40.0))
    assert [line.split() for line in lines[-2:]] == [
        ["25", "others", "25.000", "ms", "62.5", "%"],
        ["all", "40", "40.000", "ms", "100.0", "%", "100", "%", "of", "the", "latency"],
    ]
    assert len(lines) == 1 + 15 + 2


def test_a_runtime_that_knows_no_operator_times_is_told():
    lines = screen(measurement_view(GOOD, "net.tflite", profiled=True))
    assert lines[-2:] == ["", "Time per operator: this runtime cannot tell."]


@given(st.floats(1e-4, 1e6), st.floats(1e-4, 0.5))
def test_a_printed_interval_holds_the_latency_and_shows_its_ends_apart(latency_ms, width):
    low, high = latency_ms * (1 - width / 2), latency_ms * (1 + width / 2)
    value, low_text, high_text = _numbers(latency(latency_ms, (low, high)))
    half = 0.5 * 10.0 ** -len(value.partition(".")[2])
    for text, exact in ((value, latency_ms), (low_text, low), (high_text, high)):
        assert abs(float(text) - exact) <= half * (1 + 1e-9)
    assert float(low_text) <= float(value) <= float(high_text)
    assert float(low_text) < float(high_text)


def _numbers(text: str) -> tuple[str, str, str]:
    value, rest = text.split(" ms (")
    low, high = rest.removesuffix(", 95 %)").split(" to ")
    return value, low, high


@pytest.mark.parametrize(
    ("value", "text"),
    [(50.412, "50.41 ms"), (0.000541, "0.0005410 ms"), (12345.678, "12346 ms"), (9.9996, "10.000 ms")],
)
def test_milliseconds_have_four_digits_and_never_an_exponent(value, text):
    assert milliseconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "unknown"), (True, "yes"), (False, "no"), (0.123456, "0.1235 MB"), (3, "3 MB"), ("on", "on MB")],
)
def test_evidence_has_words_for_every_kind_of_value(value, text):
    assert known(value, "MB" if not isinstance(value, bool) else "") == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0 s"), (59.9, "59 s"), (60, "1 min"), (7_199, "1 h"), (86_400, "1 d"), (864_000, "10 d")],
)
def test_ages_use_the_largest_whole_unit(seconds, text):
    assert age(seconds) == text
