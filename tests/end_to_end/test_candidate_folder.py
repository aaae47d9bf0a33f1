"""``sweep run FOLDER``: every candidate file of a folder is tried once, and the sweep keeps what they said."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from sweep_cli import SPACE, FinishedSweep, sweep

from sweep.lifecycle import TrialState, read_state
from sweep.space import PublishedRow, parse_space

pytestmark = pytest.mark.long

ROW = {
    "team": "Small",
    "size_mb": 0.1,
    "si_rmse": 0.3,
    "rmse": 3.5,
    "log10": 0.1,
    "rel": 0.3,
    "runtime_ms": 5,
    "final_score": 1000,
}


def candidate(name: str, encoder: dict[str, Any], decoder: dict[str, Any]) -> dict[str, Any]:
    document = yaml.safe_load(SPACE.read_text())
    architecture, recipe = document["architecture"], document["recipe"]
    architecture["input"]["resize"] = "bilinear"
    changed = architecture | {"encoder": encoder, "decoder": decoder}
    return {"name": name, "architecture": changed, "recipe": recipe | {"learning_rate": 3e-3}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("systems") / "tiny"
    place.mkdir()
    small = candidate(
        "small",
        {"kind": "mobilenetv3_small", "width": 0.25, "stages": 2},
        {"kind": "light", "width": 8, "upsampling": "nearest"},
    )
    ghost = candidate(
        "ghost",
        {"kind": "ghostnet", "width": 0.25, "stages": 3},
        {"kind": "add", "width": 8, "upsampling": "nearest"},
    )
    (place / "small.yaml").write_text(yaml.safe_dump(small | {"published": ROW}))
    (place / "ghost.yaml").write_text(yaml.safe_dump(ghost))
    (place / "space.yaml").write_text(SPACE.read_text())
    return place


@pytest.fixture(scope="module")
def run(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, real_images: Path
) -> tuple[FinishedSweep, str]:
    runs = tmp_path_factory.mktemp("runs")
    done = sweep("run", folder, "--epochs", "1", "--data", real_images, "--runs", runs)
    assert done.returncode == 0, done.stdout + done.stderr
    return FinishedSweep(runs, "tiny-1", real_images, done.stdout), done.stderr


def test_each_candidate_is_tried_exactly_once(run: tuple[FinishedSweep, str]) -> None:
    finished, told = run
    trials = read_state(finished.directory).trials.values()
    assert [(t.assignment, t.origin, t.state) for t in trials] == [
        ({"candidate": name}, "start", TrialState.COMPLETE) for name in ("ghost", "small")
    ]
    assert [t.candidate["architecture"]["encoder"]["kind"] for t in trials] == [
        "ghostnet",
        "mobilenetv3_small",
    ]
    assert [len(t.epochs) for t in trials] == [1, 1]
    assert "note: space.yaml is passed over: it is a search space" in told


def test_what_was_published_is_kept_with_the_sweep(run: tuple[FinishedSweep, str]) -> None:
    started = read_state(run[0].directory).started
    assert started is not None
    space = parse_space(started.space["text"], started.space["file"])
    assert space.published == {"small": PublishedRow(**ROW)}


def test_a_resume_needs_none_of_the_files(run: tuple[FinishedSweep, str], folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()
    done = sweep("resume", run[0].name, "--runs", run[0].runs)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(read_state(run[0].directory).trials) == 2
