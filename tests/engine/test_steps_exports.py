"""Admission and finishing of sweeps that export each network to several files and run them at several settings."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from simulated_work import SHRINKS, WORSE, FakeTasks, measurement
from stepped_sweep import MAX_EPOCHS, Sweep

from device_farm.types import InfeasibleModel, Measurement, MeasurementSettings
from sweep.engine.files import SweepFiles
from sweep.engine.finals import measure_finalists
from sweep.engine.ledger import Ledger
from sweep.engine.measurer import ADMISSION, COARSE, FINAL
from sweep.engine.settings import Workplace
from sweep.engine.steps import LATENCY_MOVED, Steps
from sweep.judging.judge import JudgedChunk
from sweep.judging.metrics import NonFinitePrediction
from sweep.lifecycle import Journal, Trial
from sweep.lifecycle.events import TrialCompleted
from sweep.lifecycle.exports import ExportRecord, records_of, winner_of
from sweep.search import AdmissionPolicy
from sweep.space import ExportChoices, InferenceSetting
from sweep.space.constraint import parse_constraint
from sweep.space.exports import choices

Latencies = Mapping[tuple[str, int], float]
"""By variant and threads, in ms."""

FAST_INT8: Latencies = {("fp32", 1): 8.0, ("fp32", 4): 6.0, ("int8", 1): 5.0, ("int8", 4): 3.0}
TWO_BY_TWO = choices(("fp32", "int8"), (1, 4), ("xnnpack",))


@dataclass
class Board:
    """A device that refuses some variants; what it was asked is (variant, threads, effort)."""

    latencies_ms: Latencies
    refuses: tuple[tuple[str, int], ...] = ()
    asked: list[tuple[str, int, MeasurementSettings]] = field(default_factory=list)

    def measure(
        self,
        tflite: Path,
        settings: MeasurementSettings,
        *,
        fresh: bool = False,
        device_id: str | None = None,
        at: InferenceSetting | None = None,
    ) -> Measurement:
        assert at is not None
        assert fresh == (device_id is not None)
        what = (json.loads(tflite.read_text())["variant"], at.threads)
        self.asked.append((*what, settings))
        if what in self.refuses:
            raise InfeasibleModel(f"{what[0]} does not run")
        return measurement(self.latencies_ms[what], settings.interval_width, device_id, at)


@dataclass
class Lab:
    """Steps with everything around them."""

    directory: Path
    sweep: Sweep = field(default_factory=Sweep)
    tasks: FakeTasks = field(default_factory=lambda: FakeTasks(("fp32", "int8")))

    def steps(
        self,
        board: Board,
        tried: ExportChoices = TWO_BY_TWO,
        policy: AdmissionPolicy | None = None,
        test_path: Path | None = None,
    ) -> Steps:
        files = SweepFiles(self.directory)
        workplace = Workplace(files, self.directory, None, MAX_EPOCHS, 0, test_path, tried)
        return Steps(workplace, self.tasks, board, policy or AdmissionPolicy(), lambda: self.sweep.state)

    def finish(self, board: Board, **options: Any) -> TrialCompleted:
        """A trial's whole way."""
        trial = self.sweep.propose(1)
        steps = self.steps(board, **options)
        return steps.finish(self.sweep.trained(trial, steps.admit(trial), self.directory))


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def by_name(records: tuple[ExportRecord, ...]) -> dict[tuple[str, int], ExportRecord]:
    return {(record.variant, record.threads): record for record in records}


def test_admission_takes_the_fastest_and_measures_well_only_what_may_be_it(lab: Lab) -> None:
    board = Board({**FAST_INT8, ("fp32", 4): 3.1})  # 10 % intervals of 3.0 and 3.1 overlap, 3 % ones as well
    admitted = lab.steps(board).admit(lab.sweep.propose(1))
    everything = [("fp32", 1), ("fp32", 4), ("int8", 1), ("int8", 4)]
    assert board.asked == [
        *((*what, COARSE) for what in everything),
        ("fp32", 4, ADMISSION),
        ("int8", 4, ADMISSION),
    ]
    assert (admitted.latency_ms, admitted.measurement["threads"]) == (3.0, 4)
    assert admitted.export["tflite"] == "trials/0000/admission/model_int8.tflite"
    records = by_name(records_of(admitted.exports))
    assert list(records) == everything
    assert {what: record.latency_ms for what, record in records.items()} == board.latencies_ms
    assert [what for what, record in records.items() if record.won] == [("int8", 4)]
    assert records["fp32", 1].interval_ms == pytest.approx((7.6, 8.4))
    assert records["int8", 4].interval_ms == pytest.approx((2.955, 3.045))
    assert records["int8", 4].final_score is None


def test_a_twin_shares_all_combinations(lab: Lab) -> None:
    board = Board(FAST_INT8)
    steps = lab.steps(board)
    own = steps.admit(lab.sweep.propose(1, 2e-3))
    lab.sweep.record(own)
    asked = len(board.asked)
    assert steps.admit(lab.sweep.propose(1, 5e-3)) == replace(own, trial=1, shared_with=0)
    again = lab.steps(board)  # as after a restart
    assert again.admit(lab.sweep.propose(1, 7e-3)) == replace(own, trial=2, shared_with=0)
    assert len(board.asked) == asked


def test_a_candidate_is_rejected_coarsely_only_if_every_combination_is(lab: Lab) -> None:
    below_five = AdmissionPolicy((parse_constraint("latency_ms <= 4.5"),))
    slow = Board({what: latency + 3 for what, latency in FAST_INT8.items()})
    admitted = lab.steps(slow, policy=below_five).admit(lab.sweep.propose(1))
    assert {effort for *_, effort in slow.asked} == {COARSE}
    lab.sweep.record(admitted)
    verdict = below_five.at_admission(lab.sweep.state, lab.sweep.state.trials[0])
    assert verdict is not None
    assert verdict.kind == "constraint"
    one_is_fine = Board(FAST_INT8)
    lab.sweep.record(lab.steps(one_is_fine, policy=below_five).admit(lab.sweep.propose(2)))
    assert one_is_fine.asked[4:] == [("int8", 4, ADMISSION)]
    assert below_five.at_admission(lab.sweep.state, lab.sweep.state.trials[1]) is None


def test_a_size_that_only_a_small_file_keeps_decides_which_file_admission_goes_by(lab: Lab) -> None:
    trial = lab.sweep.propose(1)
    whole = lab.tasks.export(trial.candidate, lab.directory / "elsewhere", None)[0].facts["size_bytes"] / 1e6
    policy = AdmissionPolicy((parse_constraint(f"size_mb <= {whole / 2}"),))
    fast_fp32 = Board({**FAST_INT8, ("fp32", 4): 1.0})
    lab.sweep.record(lab.steps(fast_fp32, policy=policy).admit(trial))
    admitted = lab.sweep.state.trials[0]
    assert admitted.latency_ms == 3.0
    assert admitted.size_mb == int(whole * 1e6) // SHRINKS["int8"] / 1e6
    assert policy.at_admission(lab.sweep.state, admitted) is None


def test_the_best_combination_speaks_for_the_trial_and_all_are_told(lab: Lab) -> None:
    board = Board(FAST_INT8)
    completed = lab.finish(board)
    records = by_name(records_of(completed.exports))
    error = records["fp32", 1].si_rmse
    assert error is not None
    for (variant, threads), record in records.items():
        assert record.si_rmse == error + WORSE[variant]
        assert record.latency_ms == FAST_INT8[variant, threads]
        expected = 2 ** (-20 * (error + WORSE[variant])) / (FAST_INT8[variant, threads] / 640_000)
        assert math.isclose(record.final_score or 0, expected)
    winner = records["int8", 4]
    assert [record for record in records.values() if record.won] == [winner]
    assert (completed.final_score, completed.latency_ms) == (winner.final_score, winner.latency_ms)
    assert completed.metrics == winner.metrics
    assert completed.measurement["threads"] == 4
    assert completed.export["size_bytes"] == winner.size_bytes
    assert completed.files["tflite"] == winner.tflite == "trials/0000/final/model_int8.tflite"
    assert set(completed.files) == {
        *("tflite", "onnx", "tflite_fp32_nearest", "picture", "measurement", "judgement", "exports")
    }
    assert all((lab.directory / path).is_file() for path in completed.files.values())
    assert completed.flags == ()
    assert [what for *what, effort in board.asked if effort == FINAL] == [[*what] for what in FAST_INT8]


def test_each_file_is_judged_once_and_the_held_out_split_sees_the_winner_alone(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[tuple[str, str]] = []
    judge = lab.tasks.judge

    def noted(tflite: Path, split: Any) -> list[JudgedChunk]:
        judged.append((tflite.name, split))
        return judge(tflite, split)

    monkeypatch.setattr(lab.tasks, "judge", noted)
    completed = lab.finish(Board(FAST_INT8), test_path=lab.directory / "test")
    assert judged == [
        ("model.tflite", "validation"),
        ("model_int8.tflite", "validation"),
        ("model_int8.tflite", "test"),
    ]
    assert completed.test is not None
    assert completed.test["metrics"]["si_rmse"] == pytest.approx(completed.metrics["si_rmse"] + 0.02)


def test_a_variant_that_cannot_be_exported_does_not_fail_the_trial(lab: Lab) -> None:
    lab.tasks.refused_variants = ("int8",)
    completed = lab.finish(Board(FAST_INT8))
    records = by_name(records_of(completed.exports))
    assert completed.files["tflite"] == "trials/0000/final/model.tflite"
    assert completed.latency_ms == FAST_INT8["fp32", 4]
    assert {what: (record.reason, record.tflite) for what, record in records.items()} == {
        ("fp32", 1): ("", "trials/0000/final/model.tflite"),
        ("fp32", 4): ("", "trials/0000/final/model.tflite"),
        ("int8", 1): ("int8 cannot be written", None),
        ("int8", 4): ("int8 cannot be written", None),
    }


def test_a_combination_that_the_device_refuses_is_out_alone(lab: Lab) -> None:
    completed = lab.finish(Board(FAST_INT8, refuses=(("int8", 4),)))
    records = by_name(records_of(completed.exports))
    assert (records["int8", 4].reason, records["int8", 4].final_score) == ("int8 does not run", None)
    assert records["int8", 4].si_rmse == records["int8", 1].si_rmse  # it was judged all the same
    winner = winner_of(tuple(records.values()))
    assert winner == max(records.values(), key=lambda record: record.final_score or 0)


def test_a_file_that_predicts_no_numbers_is_out_alone(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    judge = lab.tasks.judge

    def int8_overflows(tflite: Path, split: Any) -> list[JudgedChunk]:
        if tflite.name == "model_int8.tflite":
            raise NonFinitePrediction("frame 0 holds NaN")
        return judge(tflite, split)

    monkeypatch.setattr(lab.tasks, "judge", int8_overflows)
    board = Board(FAST_INT8)
    completed = lab.finish(board)
    assert {(r.variant, r.reason) for r in records_of(completed.exports)} == {
        ("fp32", ""),
        ("int8", "frame 0 holds NaN"),
    }
    assert not any(what[0] == "int8" and what[2] == FINAL for what in board.asked)


def test_if_nothing_works_the_trial_is_infeasible_and_says_why(lab: Lab) -> None:
    refuses_all = Board(FAST_INT8, refuses=tuple(FAST_INT8))
    with pytest.raises(InfeasibleModel) as raised:
        lab.steps(refuses_all).admit(lab.sweep.propose(1))
    assert str(raised.value) == ("fp32 1t, fp32 4t: fp32 does not run; int8 1t, int8 4t: int8 does not run")


def test_a_latency_moved_if_it_did_at_the_same_setting_of_the_same_file(lab: Lab) -> None:
    trial = lab.sweep.propose(1)
    untrained, trained = Board(FAST_INT8), Board({**FAST_INT8, ("int8", 4): 7.9})
    ready = lab.sweep.trained(trial, lab.steps(untrained).admit(trial), lab.directory)
    completed = lab.steps(trained).finish(ready)  # now int8 at one thread is the best, as fast as it was
    winner = winner_of(records_of(completed.exports))
    assert winner is not None
    assert (winner.variant, winner.threads, completed.flags) == ("int8", 1, ())
    moved = Board({**FAST_INT8, ("int8", 4): 2.5})
    assert lab.steps(moved).finish(ready).flags == (LATENCY_MOVED,)


def test_one_file_that_is_not_float32_is_told_too(lab: Lab) -> None:
    lab.tasks.variants = ("int8",)
    completed = lab.finish(Board(FAST_INT8), tried=choices(("int8",), (1,), ("xnnpack",)))
    assert [(record.variant, record.won) for record in records_of(completed.exports)] == [("int8", True)]


def test_a_complete_trial_s_size_is_that_of_the_file_that_counts(lab: Lab) -> None:
    board = Board({**FAST_INT8, ("fp32", 1): 0.5})
    trial = lab.sweep.propose(1)
    steps = lab.steps(board)
    ready = lab.sweep.trained(trial, steps.admit(trial), lab.directory)
    lab.sweep.record(lab.steps(Board(FAST_INT8)).finish(ready))
    complete: Trial = lab.sweep.state.trials[trial.number]
    assert complete.admission_export is not None
    assert complete.size_mb == complete.admission_export["size_bytes"] // SHRINKS["int8"] / 1e6


def test_finalists_are_measured_at_the_settings_they_won_at(lab: Lab) -> None:
    board = Board(FAST_INT8)
    for seed in (1, 2):
        trial = lab.sweep.propose(seed)
        steps = lab.steps(board)
        ready = lab.sweep.trained(trial, steps.admit(trial), lab.directory)
        lab.sweep.record(steps.finish(ready))
    before = len(board.asked)
    with Journal(lab.directory) as journal:
        ledger = Ledger(journal, ())
        for event in lab.sweep.events:
            ledger.record(event)
        measure_finalists(ledger, SweepFiles(lab.directory), board, top=2, rounds=1, may_go_on=lambda: True)
    assert board.asked[before:] == [("int8", 4, FINAL)] * 2
