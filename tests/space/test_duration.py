import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.space import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("10m", 600), ("2h", 7200), ("1h30m", 5400), ("1h1m1s", 3661), ("0h5s", 5), (" 5m ", 300)],
)
def test_durations_are_read_as_people_write_them(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "10", "m", "0s", "0h0m", "1m1h", "1.5h", "-1s", "1 h", "10min", "1h1h", "١s"]
)
def test_anything_else_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match="allowed: a duration above zero such as 90s, 10m, 2h or 1h30m"):
        parse_duration(text)


@given(st.integers(1, 10**8))
def test_a_formatted_duration_reads_back(seconds: int) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


def test_zero_seconds_have_no_spelling() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        format_duration(0)
