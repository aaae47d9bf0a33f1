"""What Ray Tune tells its searcher and scheduler, as the driver hears it; and attempts that cannot begin."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from sweep.engine.attempt_spec import AttemptSpec
from sweep.engine.attempts import AttemptTrainable
from sweep.engine.driver import Idle
from sweep.engine.searcher import AttemptSearcher
from sweep.engine.shipping import Home


def spec_in(folder: Path, **changes: Any) -> AttemptSpec:
    values: dict[str, Any] = {
        "trial": 1,
        "attempt": 1,
        "candidate": {},
        "to_epoch": 9,
        "checkpoint": None,
        "checkpoint_directory": str(folder / "checkpoints"),
        "dataset_path": str(folder / "data"),
        "max_epochs": 9,
        "seed": 0,
        "threads": 1,
        "use_gpu": False,
        "stop_flag": str(folder / "stop"),
        "quiet_directory": None,
    }
    return AttemptSpec(**{**values, **changes})


class Listener:
    """In the driver's place: hands out one attempt and writes down what it hears."""

    def __init__(self, spec: AttemptSpec) -> None:
        self.heard: list[Any] = []
        self.wanted = True
        self._answers = [spec, Idle.NOW]

    def next_attempt(self) -> Any:
        self.heard.append("asked")
        return self._answers.pop(0)

    def on_result(self, spec: AttemptSpec, result: Any) -> None:
        self.heard.append((spec.trial, dict(result)))

    def on_lost(self, spec: AttemptSpec, reason: str) -> None:
        self.heard.append((spec.trial, reason))

    def goes_on(self, _spec: AttemptSpec) -> bool:
        return self.wanted

    def stop(self, kind: str, detail: str) -> None:
        self.heard.append((kind, detail))


@pytest.fixture
def driver(tmp_path: Path) -> Listener:
    return Listener(spec_in(tmp_path))


def ray_trial(tmp_path: Path, message: str | None = None) -> Any:
    """As much of Ray's trial as the scheduler looks at."""
    if message is None:
        return SimpleNamespace(trial_id="a", error_file=None)
    (tmp_path / "error.txt").write_text(message)
    return SimpleNamespace(trial_id="a", error_file=str(tmp_path / "error.txt"))


def test_an_attempt_carries_where_home_is_and_the_cluster_is_read_first(
    tmp_path: Path, driver: Listener
) -> None:
    home = Home("station", "/token", "t", "f00", "boot")
    searcher = AttemptSearcher(driver, home, lambda: driver.heard.append("cluster"))
    config = searcher.suggest("a")
    assert config == {**spec_in(tmp_path).to_config(), "home": home.to_config()}
    assert AttemptSpec.from_config(config) == spec_in(tmp_path)
    assert searcher.suggest("b") is None  # something runs, so there are results to wait for
    assert driver.heard == ["cluster", "asked"] * 2


def test_a_process_taken_away_is_lost_with_what_ray_says(tmp_path: Path, driver: Listener) -> None:
    searcher = AttemptSearcher(driver)
    searcher.suggest("a")
    message = "The actor is dead because its worker process has died. pid: 1"
    searcher.scheduler.on_trial_error(None, ray_trial(tmp_path, message))
    searcher.on_trial_complete("a", error=True)
    assert driver.heard[1:] == [(1, "the training process was killed or died")]


def test_a_process_that_cannot_start_has_crashed(tmp_path: Path, driver: Listener) -> None:
    searcher = AttemptSearcher(driver)
    searcher.suggest("a")
    message = "The actor died because of an error raised in its creation task\nImportError: no"
    searcher.scheduler.on_trial_error(None, ray_trial(tmp_path, message))
    searcher.on_trial_complete("a", error=True)
    reason = "The actor died because of an error raised in its creation task ImportError: no"
    assert driver.heard[1:] == [(1, {"failure": "crashed", "reason": reason})]


def test_an_error_without_a_word_is_a_loss(tmp_path: Path, driver: Listener) -> None:
    searcher = AttemptSearcher(driver)
    searcher.suggest("a")
    searcher.scheduler.on_trial_error(None, ray_trial(tmp_path))
    searcher.on_trial_complete("a", error=True)
    assert driver.heard[1:] == [(1, "the training process ended without a result")]


def test_an_attempt_that_the_driver_does_not_want_any_more_is_stopped(
    tmp_path: Path, driver: Listener
) -> None:
    searcher = AttemptSearcher(driver)
    searcher.suggest("a")
    trial = ray_trial(tmp_path)
    assert searcher.scheduler.on_trial_result(None, trial, {"epoch": 1}) == "CONTINUE"
    driver.wanted = False
    assert searcher.scheduler.on_trial_result(None, trial, {"epoch": 2}) == "STOP"
    searcher.on_trial_complete("a", {"epoch": 2})  # Ray Tune says so once more
    assert driver.heard[1:] == [(1, {"epoch": 1}), (1, {"epoch": 2})]


def test_the_two_newest_checkpoints_stay_once_the_journal_knows_them(
    tmp_path: Path, driver: Listener
) -> None:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for epoch in (1, 2, 3, 4, 5):  # 5 is of a trainer that was given up and is still at work
        (folder / f"epoch-{epoch:04d}.pt").touch()
    searcher = AttemptSearcher(driver)
    searcher.suggest("a")
    searcher.on_trial_complete("a", {"failure": "stopped", "reason": "", "epoch": 9})
    assert len(list(folder.iterdir())) == 5
    searcher = AttemptSearcher(Listener(spec_in(tmp_path)))
    searcher.suggest("a")
    searcher.on_trial_complete("a", {"epoch": 4})
    assert sorted(path.name for path in folder.iterdir()) == [f"epoch-000{epoch}.pt" for epoch in (3, 4, 5)]


def test_a_journal_that_cannot_be_written_stops_the_sweep_and_deletes_nothing(
    tmp_path: Path, driver: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    (folder / "epoch-0001.pt").touch()

    def full(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(driver, "on_result", full)
    searcher = AttemptSearcher(driver)
    searcher.suggest("a")
    searcher.on_trial_complete("a", {"epoch": 3})
    assert driver.heard[1:] == [("error", "the journal cannot be written: disk full")]
    assert len(list(folder.iterdir())) == 1


def test_a_node_whose_torch_sees_no_gpu_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    attempt = AttemptTrainable({**spec_in(tmp_path, use_gpu=True).to_config(), "home": None})
    result = attempt.step()
    assert (result["failure"], result["done"]) == ("unusable", True)
    assert "torch" in result["reason"]
    assert "CUDA_VISIBLE_DEVICES is 3" in result["reason"]
    assert "--gpus-per-trial 0" in result["reason"]


def test_what_goes_wrong_at_the_beginning_is_the_first_result(tmp_path: Path) -> None:
    attempt = AttemptTrainable({**spec_in(tmp_path).to_config(), "home": None})
    result = attempt.step()
    assert result["failure"] == "crashed"
    assert "not a prepared data set" in result["reason"]
