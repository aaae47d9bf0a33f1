"""Admission and finishing: what is measured, how thoroughly, and what is shared."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from simulated_work import FakeTasks, hashes_of, measurement, share
from stepped_sweep import MAX_EPOCHS, Sweep, complete_one

from device_farm.types import Measurement, MeasurementFailed, MeasurementSettings
from sweep.engine.files import SweepFiles
from sweep.engine.measurer import ADMISSION, COARSE, FINAL
from sweep.engine.settings import Workplace
from sweep.engine.steps import LATENCY_MOVED, Steps
from sweep.judging.judge import JudgedChunk
from sweep.judging.score import final_score
from sweep.lifecycle import Trial
from sweep.lifecycle.events import (
    TrialAdmitted,
    TrialCompleted,
)
from sweep.search import AdmissionPolicy
from sweep.space import InferenceSetting
from sweep.space.constraint import parse_constraint

AT_MOST_5_MS = AdmissionPolicy((parse_constraint("latency_ms <= 5"),))


@dataclass
class Farm:
    """Answers each measurement with the next of ``latencies``; the last one goes on for ever."""

    latencies: Sequence[float]
    asked: list[MeasurementSettings] = field(default_factory=list)
    on_measure: Callable[[], None] = lambda: None

    def measure(
        self,
        tflite: Path,
        settings: MeasurementSettings,
        *,
        fresh: bool = False,
        device_id: str | None = None,
        at: InferenceSetting | None = None,
    ) -> Measurement:
        assert at == InferenceSetting(1, "xnnpack")
        assert tflite.is_file()
        assert (fresh, device_id) == (False, None)
        self.on_measure()
        latency_ms = self.latencies[min(len(self.asked), len(self.latencies) - 1)]
        self.asked.append(settings)
        return measurement(latency_ms, settings.interval_width)


@dataclass
class Lab:
    """Steps with everything around them."""

    directory: Path
    sweep: Sweep
    tasks: FakeTasks

    def steps(
        self, farm: Farm, policy: AdmissionPolicy | None = None, test_path: Path | None = None
    ) -> Steps:
        files = SweepFiles(self.directory)
        workplace = Workplace(files, self.directory, None, MAX_EPOCHS, 0, test_path)
        return Steps(workplace, self.tasks, farm, policy or AdmissionPolicy(), lambda: self.sweep.state)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path, Sweep(), FakeTasks())


def test_an_admission_holds_the_measurement_and_paths_that_can_move(lab: Lab) -> None:
    trial = lab.sweep.propose(seed=1)
    farm = Farm([4.0])
    admitted = lab.steps(farm).admit(trial)
    assert admitted == TrialAdmitted(
        trial=0,
        latency_ms=4.0,
        measurement=admitted.measurement,
        export={
            "tflite": "trials/0000/admission/model.tflite",
            "onnx": "trials/0000/admission/model.onnx",
            "size_bytes": 1_000_000 + int(3e6 * share("size", trial.architecture_hash)),
        },
        shared_with=None,
    )
    assert admitted.measurement["interval_ms"] == pytest.approx([4 - 0.06, 4 + 0.06])
    assert farm.asked == [ADMISSION]


def test_an_architecture_that_was_measured_is_neither_exported_nor_measured_again(lab: Lab) -> None:
    first, other_recipe, other = (
        lab.sweep.propose(1, 2e-3),
        lab.sweep.propose(1, 5e-3),
        lab.sweep.propose(2, 2e-3),
    )
    assert first.architecture_hash == other_recipe.architecture_hash != other.architecture_hash
    farm = Farm([4.0, 7.0])
    steps = lab.steps(farm)
    own = steps.admit(first)
    lab.sweep.record(own)
    shared = steps.admit(other_recipe)
    assert shared == replace(own, trial=other_recipe.number, shared_with=first.number)
    lab.sweep.record(shared)
    third = lab.sweep.propose(1, 9e-3)
    assert steps.admit(third).shared_with == first.number  # the one who was measured, not one who shares
    assert steps.admit(other).shared_with is None
    assert len(farm.asked) == len(lab.tasks.exports) == 2


def test_twins_at_once_wait_for_the_first_of_them_and_share(lab: Lab) -> None:
    twins = [lab.sweep.propose(1, rate) for rate in (2e-3, 3e-3, 4e-3, 5e-3)]
    all_there = threading.Barrier(len(twins))
    farm = Farm([4.0])
    steps = lab.steps(farm)

    def admit(trial: Trial) -> TrialAdmitted:
        all_there.wait(timeout=30)
        return steps.admit(trial)  # which nobody has recorded when the next twin is served

    with ThreadPoolExecutor(len(twins)) as pool:
        admissions = list(pool.map(admit, twins))
    assert len(farm.asked) == 1
    first = next(admitted for admitted in admissions if admitted.shared_with is None)
    assert [admitted.shared_with for admitted in admissions if admitted is not first] == [first.trial] * 3
    assert {admitted.latency_ms for admitted in admissions} == {4.0}


def test_other_architectures_do_not_wait_for_each_other(lab: Lab) -> None:
    trials = [lab.sweep.propose(seed) for seed in (1, 2, 3)]
    both_measuring = threading.Barrier(len(trials))
    farm = Farm([4.0], on_measure=lambda: both_measuring.wait(timeout=30) and None)
    steps = lab.steps(farm)
    with ThreadPoolExecutor(len(trials)) as pool:
        assert [admitted.latency_ms for admitted in pool.map(steps.admit, trials)] == [4.0] * 3


def test_a_twin_whose_measurement_failed_leaves_it_to_the_next(lab: Lab) -> None:
    first, second = lab.sweep.propose(1, 2e-3), lab.sweep.propose(1, 3e-3)

    def lose_the_worker() -> None:
        if not farm.asked:
            farm.asked.append(ADMISSION)
            raise MeasurementFailed("the worker was lost")

    farm = Farm([4.0], on_measure=lose_the_worker)
    steps = lab.steps(farm)
    with pytest.raises(MeasurementFailed):
        steps.admit(first)
    assert steps.admit(second).shared_with is None


@pytest.mark.parametrize(
    ("latency_ms", "effort"), [(9.0, [COARSE]), (5.2, [COARSE, ADMISSION]), (3.0, [COARSE, ADMISSION])]
)
def test_a_coarse_measurement_is_enough_to_reject_and_nothing_else(
    lab: Lab, latency_ms: float, effort: list[MeasurementSettings]
) -> None:
    farm = Farm([latency_ms])  # at 5.2 ms the coarse interval still holds the limit
    admitted = lab.steps(farm, AT_MOST_5_MS).admit(lab.sweep.propose(1))
    assert farm.asked == effort
    half = latency_ms * effort[-1].interval_width / 2
    assert admitted.measurement["interval_ms"] == pytest.approx([latency_ms - half, latency_ms + half])


def test_what_the_coarse_measurement_rejected_is_rejected_by_the_plan(lab: Lab) -> None:
    lab.sweep.record(lab.steps(Farm([9.0]), AT_MOST_5_MS).admit(lab.sweep.propose(1)))
    verdict = AT_MOST_5_MS.at_admission(lab.sweep.state, lab.sweep.state.trials[0])
    assert verdict is not None
    assert (verdict.kind, verdict.reason) == ("constraint", "breaks latency_ms <= 5: latency_ms is 9")


def test_without_a_rule_or_before_anything_is_complete_one_thorough_measurement_is_taken(lab: Lab) -> None:
    by_score = AdmissionPolicy(risk=0.01)
    farm = Farm([4.0])
    lab.steps(farm, by_score).admit(lab.sweep.propose(1))
    complete_one(lab.sweep, lab.directory, 500.0)
    lab.steps(farm, AdmissionPolicy(extrapolation_risk=0.01)).admit(lab.sweep.propose(2))
    assert farm.asked == [ADMISSION, ADMISSION]
    lab.steps(farm, by_score).admit(lab.sweep.propose(3))
    assert farm.asked[2:] == [COARSE, ADMISSION]  # one complete trial is too few to reject by


def finished(lab: Lab, admission_ms: float, final_ms: float, test_path: Path | None = None) -> TrialCompleted:
    trial = lab.sweep.propose(1)
    steps = lab.steps(Farm([admission_ms, final_ms]), test_path=test_path)
    trained = lab.sweep.trained(trial, steps.admit(trial), lab.directory)
    return steps.finish(trained)


@pytest.mark.parametrize(
    ("final_ms", "flags"), [(4.0, ()), (4.05, ()), (4.09, (LATENCY_MOVED,)), (3.9, (LATENCY_MOVED,))]
)
def test_a_final_interval_apart_from_the_admission_s_is_flagged(
    lab: Lab, final_ms: float, flags: tuple[str, ...]
) -> None:
    completed = finished(lab, 4.0, final_ms)  # intervals: 3.94 to 4.06 at admission, 0.5 % either side here
    assert completed.flags == flags
    assert completed.latency_ms == final_ms


def test_the_figures_of_a_complete_trial_come_from_its_trained_file(lab: Lab) -> None:
    completed = finished(lab, 4.0, 4.0)
    candidate = hashes_of(lab.sweep.state.trials[0].candidate)["candidate"]
    error = 0.2 + 0.1 * share("error", candidate) + 0.01 * share("seed", candidate, 3) + 0.3 / MAX_EPOCHS
    assert completed.metrics == {"si_rmse": error, "rmse": 1.0, "log10": 0.1, "rel": 0.1}
    assert completed.final_score == final_score(error, 4.0)
    assert completed.export["reference_max_relative"] == 0.0
    assert set(completed.files) == {"tflite", "onnx", "picture", "measurement", "judgement"}
    assert all((lab.directory / path).is_file() for path in completed.files.values())
    assert completed.test is None


def test_the_final_measurement_is_the_thorough_one(lab: Lab) -> None:
    trial = lab.sweep.propose(1)
    farm = Farm([4.0])
    steps = lab.steps(farm)
    steps.finish(lab.sweep.trained(trial, steps.admit(trial), lab.directory))
    assert farm.asked == [ADMISSION, FINAL]


def test_the_held_out_split_is_judged_in_a_finalising_sweep_alone(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[str] = []
    judge = lab.tasks.judge

    def noted(tflite: Path, split: Any) -> list[JudgedChunk]:
        judged.append(split)
        return judge(tflite, split)

    monkeypatch.setattr(lab.tasks, "judge", noted)
    assert finished(lab, 4.0, 4.0).test is None
    assert judged == ["validation"]


def test_held_out_figures_stand_apart(lab: Lab) -> None:
    completed = finished(lab, 4.0, 4.0, test_path=lab.directory / "test")
    error = completed.metrics["si_rmse"]
    assert completed.test == {
        "metrics": {"si_rmse": error + 0.02, "rmse": 1.0, "log10": 0.1, "rel": 0.1},
        "final_score": final_score(error + 0.02, 4.0),
        "frames": 1,
    }
    assert completed.final_score == final_score(error, 4.0)
    assert "test_judgement" in completed.files
