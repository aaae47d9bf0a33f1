"""A trial's files at their settings: what is out, which of them counts, and what the journal keeps of all."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated_work import measurement

from device_farm.types import InfeasibleModel
from sweep.engine.exports import (
    ExportedFile,
    Tried,
    best_of,
    combinations,
    contenders,
    export_records,
    fastest_of,
)
from sweep.judging.judge import Judgement
from sweep.judging.metrics import DepthMetrics, NonFinitePrediction
from sweep.lifecycle.exports import ExportRecord, labels, records_of, winner_of
from sweep.space import InferenceSetting
from sweep.space.constraint import parse_constraint

ONE, FOUR = InferenceSetting(1, "xnnpack"), InferenceSetting(4, "none")


def file(variant: str, size_bytes: int = 1_000_000, reason: str = "") -> ExportedFile:
    facts = {} if reason else {"tflite": f"/sweep/{variant}.tflite", "size_bytes": size_bytes}
    return ExportedFile(variant, "nearest", facts, reason)


def judged(si_rmse: float) -> Judgement:
    return Judgement(DepthMetrics(si_rmse, 1.0, 0.1, 0.2), (), 1, "simulated")


def tried(
    variant: str,
    si_rmse: float | None,
    latency_ms: float | None,
    setting: InferenceSetting = ONE,
    size_bytes: int = 1_000_000,
    failure: Exception | None = None,
) -> Tried:
    return Tried(
        file(variant, size_bytes),
        setting,
        None if si_rmse is None else judged(si_rmse),
        None if latency_ms is None else measurement(latency_ms),
        failure,
    )


def log_score(si_rmse: float, latency_ms: float) -> float:
    """The challenge's formula once more, by its logarithm."""
    return -20 * si_rmse * math.log(2) - math.log(latency_ms / 640_000)


entries = st.builds(
    tried,
    st.just("fp32"),
    st.none() | st.floats(0.1, 1.0),
    st.none() | st.floats(1.0, 100.0),
    failure=st.none() | st.just(InfeasibleModel("no")),
)


@given(st.lists(entries, min_size=1, max_size=8))
def test_the_best_is_who_has_the_best_score_among_those_that_work(entries: Sequence[Tried]) -> None:
    scores = {
        place: log_score(entry.judgement.metrics.si_rmse, entry.measurement.latency_ms)
        for place, entry in enumerate(entries)
        if entry.failure is None and entry.judgement and entry.measurement
    }
    if not scores:
        if any(entry.failure for entry in entries):
            with pytest.raises(InfeasibleModel):
                best_of(entries, ())
        return
    chosen = best_of(entries, ())
    assert scores[chosen] == pytest.approx(max(scores.values()), abs=1e-9)


def test_of_equal_scores_the_one_asked_for_first_counts() -> None:
    same = [tried("fp32", 0.3, 10.0), tried("int8", 0.3, 10.0), tried("fp16", 0.4, 10.0)]
    assert best_of(same, ()) == 0
    assert best_of(same[::-1], ()) == 1


def test_what_breaks_a_constraint_counts_only_if_all_do() -> None:
    large = tried("fp32", 0.2, 8.0, size_bytes=4_000_000)
    slow = tried("fp16", 0.2, 12.0)
    small = tried("int8", 0.3, 9.0, size_bytes=1_000_000)
    constraints = (parse_constraint("size_mb <= 3"), parse_constraint("latency_ms <= 10"))
    assert best_of([large, slow, small], ()) == 0
    assert best_of([large, slow, small], constraints) == 2
    assert fastest_of([large, slow, small], constraints) == 2
    assert best_of([slow, large], constraints) == 1
    edge = tried("fp16", 0.2, 10.04)  # 0.5 % either side: the interval still holds the limit
    assert best_of([edge, small], constraints) == 0


def test_a_file_that_could_not_be_made_is_out_at_every_setting() -> None:
    found = combinations([file("fp32"), file("int8", reason="no such form")], (ONE, FOUR))
    assert [(entry.file.variant, entry.setting, entry.failure is None) for entry in found] == [
        ("fp32", ONE, True),
        ("fp32", FOUR, True),
        ("int8", ONE, False),
        ("int8", FOUR, False),
    ]


def test_only_those_whose_interval_reaches_down_to_the_lowest_may_be_the_fastest() -> None:
    out = tried("int8", None, 1.0, failure=InfeasibleModel("refused"))
    latencies = (10.0, 10.05, 10.2)  # 0.5 % either side
    assert contenders([out, *(tried("fp32", None, latency) for latency in latencies)]) == (1, 2)


def test_if_nothing_works_the_only_reason_there_is_is_told_as_it_was() -> None:
    refusal = InfeasibleModel("op 152 is unknown")
    with pytest.raises(InfeasibleModel) as raised:
        fastest_of([tried("fp32", None, None, failure=refusal)], ())
    assert raised.value is refusal


def test_if_nothing_works_everybody_s_reason_is_told() -> None:
    refused = InfeasibleModel("op 152\n is unknown")
    entries = [
        tried("fp32", None, None, ONE, failure=refused),
        tried("fp32", None, None, FOUR, failure=refused),
        tried("int8", None, None, ONE, failure=InfeasibleModel("too large")),
    ]
    with pytest.raises(InfeasibleModel) as raised:
        best_of(entries, ())
    assert (
        str(raised.value)
        == "fp32 1t xnnpack, fp32 4t no-delegate: op 152 is unknown; int8 1t xnnpack: too large"
    )


def test_a_prediction_that_is_no_number_is_the_training_s_fault() -> None:
    entries = [
        tried("fp32", None, None, failure=NonFinitePrediction("frame 3")),
        tried("int8", None, None, failure=InfeasibleModel("refused")),
    ]
    with pytest.raises(NonFinitePrediction, match="fp32: frame 3; int8: refused"):
        best_of(entries, ())


def test_the_journal_holds_every_combination_with_its_figures_or_its_reason() -> None:
    entries = [
        tried("fp32", 0.3, 8.0, ONE, 4_000_000),
        tried("int8", 0.31, 4.0, FOUR),
        tried("fp16", None, None, ONE, failure=InfeasibleModel("refused")),
        Tried(file("uint8", reason="no such form"), ONE, failure=InfeasibleModel("no such form")),
        tried("dynamic_int8", 0.5, 9.0, ONE, 3_500_000),
    ]
    records = export_records(
        entries, 1, (parse_constraint("size_mb <= 3.7"),), lambda path: path.removeprefix("/sweep/")
    )
    winner = records_of(records)[1]
    score = math.exp(log_score(0.31, 4.0))
    assert winner == ExportRecord(
        variant="int8",
        output_upsampling="nearest",
        threads=4,
        delegate="none",
        won=True,
        tflite="int8.tflite",
        size_bytes=1_000_000,
        si_rmse=0.31,
        rmse=1.0,
        log10=0.1,
        rel=0.2,
        latency_ms=4.0,
        interval_ms=(pytest.approx(3.98), pytest.approx(4.02)),
        final_score=pytest.approx(score),
    )
    assert winner_of(records_of(records)) == winner
    assert [(record["won"], record["reason"]) for record in records] == [
        (False, "breaks size_mb <= 3.7"),
        (True, ""),
        (False, "refused"),
        (False, "no such form"),
        (False, ""),
    ]
    assert [record["tflite"] for record in records] == [
        "fp32.tflite",
        "int8.tflite",
        "fp16.tflite",
        None,
        "dynamic_int8.tflite",
    ]
    assert labels(records_of(records)) == (
        "fp32 1t xnnpack",
        "int8 4t no-delegate",
        "fp16 1t xnnpack",
        "uint8 1t xnnpack",
        "dynamic_int8 1t xnnpack",
    )
