"""``sweep score`` prints the challenge's numbers and refuses what is none."""

import pytest

TABLE_1 = [
    ("0.2773", "46", 298),
    ("0.311", "37", 232),
    ("0.299", "54", 188),
    ("0.303", "68", 141),
    ("0.2836", "103", 122),
    ("0.3296", "65", 102),
    ("0.3498", "139", 36),
    ("0.338", "142", 42),
]


@pytest.mark.parametrize(("si_rmse", "runtime_ms", "published"), TABLE_1)
def test_each_row_of_table_1_comes_out_as_published(call, si_rmse, runtime_ms, published) -> None:
    result = call("score", si_rmse, runtime_ms)
    assert (result.exit_code, round(float(result.stdout))) == (0, published)


def test_the_score_is_printed_with_four_decimals_and_nothing_else(call) -> None:
    assert call("score", "0.3", "100").stdout == "100.0000\n"  # 2^-6 * 640000 / 100


@pytest.mark.parametrize(
    ("si_rmse", "runtime_ms", "message"),
    [
        ("-1", "5", "si_rmse is -1.0; it must be a finite number of at least 0"),
        ("nan", "5", "si_rmse is nan; it must be a finite number of at least 0"),
        ("0.3", "0", "runtime_ms is 0.0; it must be a finite number above 0"),
        ("0.3", "-4", "runtime_ms is -4.0; it must be a finite number above 0"),
        ("0.3", "inf", "runtime_ms is inf; it must be a finite number above 0"),
    ],
)
def test_a_number_out_of_range_is_bad_input(call, si_rmse, runtime_ms, message) -> None:
    result = call("score", si_rmse, runtime_ms)
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"error: {message}\n")


@pytest.mark.parametrize("arguments", [("abc", "5"), ("0.3",), ("0.3", "5", "6")])
def test_what_is_not_two_numbers_is_bad_input(call, arguments) -> None:
    result = call("score", *arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.output
