"""``sweep.run`` and ``sweep.load``: a tiny sweep on somebody's own data for somebody's own score, from Python."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from sweep_cli import SPACE

import sweep
from sweep.lifecycle import TrialState
from sweep.tracking.store import open_client

PACKAGE = '''
"""What a person's own package has."""

import numpy as np

from sweep.data import Frame, Listing


class Ramps:
    """Pictures whose brightness falls with depth, 64 x 48."""

    name = "ramps"
    kind = "ramps-1"

    def scan(self, splits):
        counts = {"train": 8, "validation": 4}
        frames = {split: [self.frame(split, n) for n in range(counts[split])] for split in splits}
        return Listing(frames, state=counts)

    def frame(self, split, number):
        rng = np.random.default_rng((len(split), number))
        slope = rng.uniform(0.5, 2, 2)
        y, x = np.mgrid[:48, :64] / 48
        depth_mm = (1000 + 4000 * (slope[0] * x + slope[1] * y)).astype(np.uint16)
        bright = (255 * 1000 / depth_mm)[..., None] * np.ones(3)
        return Frame(f"{split}-{number}", lambda: bright.astype(np.uint8), lambda: depth_mm)


class Frugal:
    """Each millisecond costs as much as a tenth of si-RMSE."""

    name = "Frugal Score"

    def __call__(self, si_rmse, latency_ms):
        return -si_rmse - 0.1 * latency_ms
'''

SCRIPT = """
import json, sys
import sweep

seen = []
result = sweep.run(
    sys.argv[1], data="at_home:Ramps", trials=2, epochs=2, name="mine", seed=3, runs=sys.argv[2],
    on_record=lambda state, record: seen.append(record.sequence),
)
print(json.dumps({
    "name": result.name, "score": result.score, "ended": result.ended, "best": result.best.number,
    "directory": str(result.directory), "records": seen, "trials": len(result.trials),
    "rows": [[row.trial, row.final_score] for row in result.leaderboard],
    "tflite": str(result.files(result.best.number)["tflite"]),
}))
"""


@dataclass(frozen=True)
class Ran:
    folder: Path
    answer: dict
    output: str

    def cli(self, *arguments: str, cwd: Path | None = None) -> str:
        command = [sys.executable, "-m", "sweep", *arguments]
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("home")
    (folder / "at_home.py").write_text(PACKAGE)
    space = folder / "frugal.yaml"
    without_rounds = SPACE.read_text().replace("finalists: {top: 2, rounds: 3}", "finalists: {rounds: 0}")
    space.write_text(f"{without_rounds}\nscore: at_home:Frugal\n")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(space), str(folder / "runs")],
        cwd=tmp_path_factory.mktemp("elsewhere"),  # the code is found beside the space
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return Ran(folder, json.loads(done.stdout.splitlines()[-1]), done.stdout)


@pytest.fixture
def loaded(ran: Ran) -> sweep.SweepResult:
    return sweep.load(ran.folder / "runs" / "mine")


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_result_is_what_the_journal_says(ran: Ran, loaded: sweep.SweepResult) -> None:
    scores = {
        trial.number: -trial.completion.metrics["si_rmse"] - 0.1 * trial.completion.latency_ms
        for trial in loaded.state.in_state(TrialState.COMPLETE)
        if trial.completion
    }
    assert scores
    assert {trial: score for trial, score in ran.answer["rows"] if score is not None} == pytest.approx(scores)
    assert (loaded.name, loaded.score, loaded.ended) == ("mine", "Frugal Score", "finished")
    assert loaded.state.started is not None
    assert loaded.state.started.identity["data"] == "ramps"
    assert loaded.state.started.settings["data"] == "at_home:Ramps"
    assert loaded.best is not None
    assert (loaded.best.number, len(loaded.trials)) == (ran.answer["best"], 2)
    assert ran.answer["records"] == list(range(ran.answer["records"][-1] + 1))
    assert Path(ran.answer["tflite"]).read_bytes()[4:8] == b"TFL3"
    assert loaded.files(loaded.best.number)["tflite"] == Path(ran.answer["tflite"])
    assert len(ran.output.splitlines()) == 1  # a library prints nothing by itself


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_command_line_shows_the_same_sweep_by_its_own_score(ran: Ran) -> None:
    runs = str(ran.folder / "runs")
    board = json.loads(ran.cli("leaderboard", "mine", "--runs", runs, "--json"))
    assert (board["score"], board["best"]) == ("Frugal Score", ran.answer["best"])
    assert [[row["trial"], row["final_score"]] for row in board["trials"]] == ran.answer["rows"]
    shown = ran.cli("leaderboard", "mine", "--runs", runs)
    assert "Sweep mine: trials by Frugal Score" in shown
    assert "Final Score" not in shown.partition("For orientation")[0]
    copied = ran.cli("best", "mine", "--runs", runs, "-o", str(ran.folder / "best.tflite"))
    assert "Frugal Score" in copied
    assert "at_home:Ramps" in ran.cli("data", "at_home:Ramps", cwd=ran.folder)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_mlflow_has_the_score_under_its_name(ran: Ran) -> None:
    client = open_client(f"sqlite:///{ran.folder / 'runs' / 'mlflow.db'}")
    experiments = [found.experiment_id for found in client.search_experiments()]
    runs = client.search_runs(experiments, "tags.kind = 'trial'")
    shown = {int(run.data.tags["depth_sweep.trial"]): run.data.metrics.get("frugal_score") for run in runs}
    assert shown == dict(ran.answer["rows"])
    assert not any("final_score" in run.data.metrics for run in runs)


def test_importing_the_package_and_loading_a_sweep_is_light(tmp_path: Path) -> None:
    program = (
        "import sys, sweep\n"
        "before = set(sys.modules)\n"
        "assert not {name for name in before if name.startswith('sweep.')}, before\n"
        "assert callable(sweep.run) and callable(sweep.load)\n"
        "heavy = {'torch', 'ray', 'mlflow', 'optuna', 'tensorflow', 'h5py', 'typer', 'cv2', 'grpc'}\n"
        "heavy &= set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path)


def test_what_cannot_be_asked_for_is_an_error_before_anything_starts(tmp_path: Path) -> None:
    from sweep.usage import UsageError

    runs = tmp_path / "runs"
    with pytest.raises(UsageError, match=r"^--data .*/none: no such file or folder; allowed: "):
        sweep.run("mobilenetv3", data=tmp_path / "none", runs=runs)
    with pytest.raises(UsageError, match=r"^--name: found 'no name'; allowed: up to 64 letters"):
        sweep.run("mobilenetv3", name="no name", runs=runs)
    with pytest.raises(AttributeError, match="module 'sweep' has no attribute 'walk'"):
        sweep.walk  # noqa: B018  # asking for it is the test
    assert not runs.exists()
