"""How the texts of options become values, and what is said of nonsense."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_farm.cli import arguments
from device_farm.cli.measure_options import DEFAULTS, parse_settings, parse_target, parse_timeout
from device_farm.types import MAX_INVOCATIONS, MeasurementSettings, Target
from device_farm.worker.runtimes import RuntimeProblem


@given(st.integers(-50, 50))
def test_whole_numbers_are_taken_within_their_bounds_and_nowhere_else(value):
    if -10 <= value <= 20:
        assert arguments.whole_number("--n", str(value), -10, 20) == value
    else:
        with pytest.raises(ValueError, match=rf"^--n '{value}': allowed are whole numbers from -10 to 20$"):
            arguments.whole_number("--n", str(value), -10, 20)


@given(st.text())
def test_a_number_is_a_value_within_its_bounds_or_an_error_that_quotes_the_text(text):
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if 0 <= value <= 100:
        assert arguments.number("--wait", text, 0, 100, "seconds") == value
    else:
        with pytest.raises(ValueError, match="allowed are numbers of seconds from 0 to 100") as caught:
            arguments.number("--wait", text, 0, 100, "seconds")
        assert str(caught.value).startswith(f"--wait {text!r}: ")


@pytest.mark.parametrize(
    "text", ["nan", "inf", "-inf", "1e999", "", " ", "many", "1,5", "0x10", "-0.1", "100.1"]
)
def test_what_is_no_number_or_out_of_bounds_is_refused(text):
    with pytest.raises(ValueError, match="allowed are numbers of percent from 0 to 100"):
        arguments.number("--interval", text, 0, 100, "percent")


@given(
    st.dictionaries(
        st.from_regex(r"[a-z0-9.-]{1,9}", fullmatch=True), st.from_regex(r"[a-z0-9=/.]{1,9}", fullmatch=True)
    )
)
def test_pairs_are_read_back_as_they_were_written(labels):
    texts = [f"{key}={value}" for key, value in labels.items()]
    assert arguments.pairs("--label", texts, "KEY=VALUE") == labels


@pytest.mark.parametrize("text", ["", "=", "a", "a=", "=b", " = ", "a= "])
def test_half_a_pair_is_refused(text):
    with pytest.raises(ValueError, match=r"^--label '.*': expected KEY=VALUE$"):
        arguments.pairs("--label", [text], "KEY=VALUE")


def test_a_key_that_comes_twice_is_refused():
    with pytest.raises(ValueError, match=r"^--label: room is given twice$"):
        arguments.pairs("--label", ["room=lab", "room=attic"], "KEY=VALUE")


def test_a_runtime_needs_a_name_that_a_runtime_can_have():
    assert arguments.runtimes(["tflite-2.5.0=/p"]) == {"tflite-2.5.0": "/p"}
    with pytest.raises(RuntimeProblem, match=r"runtime 'fast': a runtime is named tflite-VERSION or"):
        arguments.runtimes(["fast=/p"])


def test_required_labels_and_runtime_make_the_target():
    target = parse_target(" soc=bcm2711 , runtime=tflite-2.5.0,", "", "4", "none")
    assert target == Target({"soc": "bcm2711"}, "tflite-2.5.0", 4, "none")


def test_nothing_required_is_any_device():
    assert parse_target("", "", "1", "xnnpack") == Target()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("runtime=a", "b", "1", "none"), "^--require asks for runtime a, --runtime for b$"),
        (("soc", "", "1", "none"), "^--require 'soc': expected K=V,[.]{3}$"),
        (("", "", "0", "none"), "^--threads '0': allowed are whole numbers from 1 to 1024$"),
        (("", "", "1", "gpu"), "^--delegate 'gpu': allowed are none, xnnpack$"),
    ],
)
def test_a_target_that_makes_no_sense_names_the_option(given, message):
    with pytest.raises(ValueError, match=message):
        parse_target(*given)


def test_the_options_of_measure_mean_the_default_settings_unless_given():
    assert parse_settings("1", "10") == MeasurementSettings()
    assert parse_settings("0.5", "2") == MeasurementSettings(interval_width=0.005, sampling_seconds=2.0)


@given(st.floats(10, 43_200))
def test_a_larger_budget_allows_as_many_more_invocations_and_leaves_the_job_its_other_time(seconds):
    settings = parse_settings("1", repr(seconds))
    allowed = min(MAX_INVOCATIONS, DEFAULTS.max_invocations * seconds / DEFAULTS.sampling_seconds)
    assert settings.max_invocations == pytest.approx(allowed, abs=1)
    assert settings.sampling_seconds == seconds
    spare = settings.timeout_seconds - settings.sampling_seconds
    assert math.isclose(spare, DEFAULTS.timeout_seconds - DEFAULTS.sampling_seconds)


def test_waiting_for_a_detached_job_makes_no_sense():
    assert (parse_timeout("3", detach=False), parse_timeout(None, detach=True)) == (3.0, None)
    with pytest.raises(ValueError, match=r"^--timeout says how long to wait for the result, but --detach"):
        parse_timeout("3", detach=True)
