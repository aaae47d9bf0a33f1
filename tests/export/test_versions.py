"""The table of operator versions is what real runtimes accept, and what TensorFlow's converter notes."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runtime_support import BUILTINS, accepted, listing

from sweep.export.versions import FIRST_RUNTIME, minimum_runtime, newest_version, release, tflite_release

NEWEST_VERSION = 16
PAIRS = [(name, version) for name in BUILTINS for version in range(1, NEWEST_VERSION + 1)]


def known_to(python: str, family: str, folder: Path) -> set[tuple[str, int]]:
    """The operator versions that a runtime accepts, of all that the schema has names for."""
    answers = accepted(python, family, [listing([pair]) for pair in PAIRS], folder)
    return {pair for pair, answer in zip(PAIRS, answers, strict=True) if answer}


def known_by(runtime: str) -> set[tuple[str, int]]:
    """The same, by our table."""
    return {pair for pair, first in FIRST_RUNTIME.items() if release(first) <= release(runtime)}


def test_the_table_is_what_tflite_2_14_accepts(tmp_path: Path) -> None:
    assert known_to(sys.executable, "tflite", tmp_path) == known_by("2.14.0")


@pytest.mark.long
def test_the_table_is_what_tensorflow_2_21_accepts(tmp_path: Path) -> None:
    assert known_to(sys.executable, "tensorflow", tmp_path) == known_by("2.21.0")


@pytest.mark.long
def test_litert_2_3_accepts_the_whole_table(tmp_path: Path) -> None:
    assert known_by("9.9.9") <= known_to(sys.executable, "litert", tmp_path)
    assert known_by("9.9.9") == known_by(tflite_release("litert-2.3.0"))


@pytest.mark.tflite25
def test_the_table_is_what_tflite_2_5_accepts(tmp_path: Path) -> None:
    python = os.environ["DEPTH_SWEEP_TFLITE25_PYTHON"]
    assert known_to(python, "tensorflow", tmp_path) == known_by("2.5.0")


def test_later_versions_of_an_operator_came_no_earlier() -> None:
    for (name, version), first in FIRST_RUNTIME.items():
        before = FIRST_RUNTIME.get((name, version - 1), "1.5.0")
        assert release(before) <= release(first), (name, version)


@pytest.mark.parametrize(
    ("operators", "runtime"),
    [
        ([], "1.5.0"),
        ([("CONV_2D", 1)], "1.5.0"),
        ([("CONV_2D", 5), ("DEPTHWISE_CONV_2D", 6), ("HARD_SWISH", 1)], "2.4.0"),
        ([("DEQUANTIZE", 3), ("MEAN", 1)], "1.15.0"),
        ([("TRANSPOSE", 7), ("ADD", 5)], "2.14.4"),
    ],
)
def test_the_newest_of_the_operators_decides(operators: list[tuple[str, int]], runtime: str) -> None:
    assert minimum_runtime(operators) == runtime


def test_an_operator_of_no_release_has_no_minimum() -> None:
    with pytest.raises(KeyError, match="BROADCAST_TO"):
        minimum_runtime([("ADD", 1), ("BROADCAST_TO", 1)])


@given(st.sampled_from(sorted(FIRST_RUNTIME)))
def test_a_release_knows_its_own_operators_and_the_one_before_does_not(pair: tuple[str, int]) -> None:
    name, version = pair
    first = FIRST_RUNTIME[pair]
    newest = newest_version(name, first)
    assert newest is not None
    assert newest >= version
    before = max(
        (known for known in FIRST_RUNTIME.values() if release(known) < release(first)),
        key=release,
        default="0",
    )
    older = newest_version(name, before)
    assert older is None or older < version


@pytest.mark.parametrize(
    ("name", "counts_as"),
    [
        ("2.5.0", "2.5.0"),
        ("tflite-2.14.0", "2.14.0"),
        ("tflite-2.5", "2.5"),
        ("tflite-2.5.0.post1", "2.5.0"),
        ("tflite-2.6.0-rc1", "2.6.0"),
        ("litert-0.9.0", "2.16.0"),
        ("litert-1.0.1", "2.16.0"),
        ("litert-1.4.0", "2.19.0"),
        ("litert-2.0.2", "2.20.0"),
        ("litert-2.3.0", "2.23.0"),
        ("litert-3.0.0", "2.23.0"),
    ],
)
def test_a_runtimes_name_tells_which_operators_it_has(name: str, counts_as: str) -> None:
    assert tflite_release(name) == counts_as


@pytest.mark.parametrize(
    "name", ["", "2.x", "tflite", "onnx-1.2.0", "tflite-", "-2.5.0", "2.5.0 or so", "TFLite"]
)
def test_no_name_of_a_runtime_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"allowed are 2\.5\.0, tflite-2\.5\.0, litert-2\.3\.0"):
        tflite_release(name)
