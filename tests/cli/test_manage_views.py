"""``sweep list``, ``sweep status``, ``sweep compare`` and ``sweep gc`` on sweeps in every condition."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from managed_sweeps import held_by_a_child, tree, write_sweep

from sweep.lifecycle.events import SweepEnded
from tests.report.report_sweep import completed, every_ending, started, trained

CLI = [sys.executable, "-m", "sweep"]


def finished(score: float):
    yield started("farm:50051")
    yield from trained(0, 4)
    yield completed(0, si_rmse=0.375, latency_ms=10.0, final_score=score)
    yield SweepEnded("finished")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A finished sweep, one that died, one without a start, a damaged one, and one that makes no sense."""
    write_sweep(tmp_path, "done", finished(353.6))
    write_sweep(tmp_path, "dead", every_ending())
    write_sweep(tmp_path, "unstarted")
    write_sweep(tmp_path, "torn")
    (tmp_path / "torn" / "journal.jsonl").write_text('{"sequence":0,\n')
    write_sweep(tmp_path, "odd")
    (tmp_path / "odd" / "journal.jsonl").write_text(
        '{"sequence":0,"time":1.0,"event":"SweepStarted","name":"odd","sweep_id":"","identity":7,'
        '"space":{},"settings":{},"versions":{}}\n'
    )
    return tmp_path


def test_the_list_has_a_row_for_every_sweep_whatever_its_journal_is_like(call, runs: Path) -> None:
    with held_by_a_child(runs / "dead", "deaf"):
        result = call("list", "--json", "--runs", runs)
    rows = {row["name"]: row for row in json.loads(result.stdout)["sweeps"]}
    assert [(name, row["condition"]) for name, row in rows.items()] == [
        ("dead", "running"),
        ("done", "finished"),
        ("odd", "damaged"),
        ("torn", "damaged"),
        ("unstarted", "never started"),
    ]
    assert rows["done"] == {
        "name": "done",
        "condition": "finished",
        "complete": 1,
        "pruned": 0,
        "infeasible": 0,
        "failed": 0,
        "under_way": 0,
        "best": 353.6,
        "device": "raspberrypi-4b",
        "started_at": 1_700_000_000.0,
        "changed_at": 1_700_000_100.0,
        "error": "",
    }
    assert rows["torn"]["error"].startswith(f"{runs / 'torn' / 'journal.jsonl'}: line 1 is damaged: ")
    assert rows["odd"]["error"] != ""


def test_the_list_as_a_table_names_what_is_damaged_below(call, runs: Path) -> None:
    result = call("list", "--runs", runs)
    lines = [line.split() for line in result.stdout.splitlines()]
    assert result.exit_code == 0
    assert lines[2][:5] == ["dead", "died", "2/1/1/1", "+2", "671.8"]
    assert lines[5] == ["torn", "damaged", "-", "-", "-"]
    assert "torn: " in result.stdout
    assert max(map(len, result.stdout.splitlines()[:9])) <= 80


def test_an_empty_folder_says_how_to_start(call, tmp_path: Path) -> None:
    result = call("list", "--runs", tmp_path)
    assert (
        result.stdout
        == f"{tmp_path} holds no sweep; start one with: sweep run mobilenetv3, or give --runs DIR\n"
    )
    assert json.loads(call("list", "--json", "--runs", tmp_path).stdout) == {"sweeps": []}


def test_the_status_of_a_sweep_that_died_says_so_and_names_the_way_on(call, runs: Path) -> None:
    result = call("status", "dead", "--runs", runs)
    assert result.exit_code == 0
    assert "Sweep dead   died   last record" in result.stdout
    assert "training    1  cut short: trial 5 at 1 to 2 of 4" in result.stdout
    assert result.stdout.endswith(f"go on with: sweep resume dead --runs {runs}\n")


def test_status_and_a_copy_of_it_agree_and_reading_writes_nothing(call, runs: Path) -> None:
    copied = runs / "copy"
    copied.mkdir()
    (copied / "journal.jsonl").write_bytes((runs / "dead" / "journal.jsonl").read_bytes())
    before = tree(runs)
    first, second = (
        json.loads(call("status", name, "--json", "--runs", runs).stdout) for name in ("dead", "copy")
    )
    for status in (first, second):
        del status["name"], status["silent_s"]
    assert first == second
    assert first["counts"]["complete"] == 2
    assert tree(runs) == before


def test_watching_and_json_exclude_each_other(call, runs: Path) -> None:
    result = call("status", "dead", "--watch", "--json", "--runs", runs)
    assert (result.exit_code, result.stderr) == (2, "error: --watch and --json exclude each other\n")


def test_watching_a_sweep_that_is_over_shows_it_once(call, runs: Path) -> None:
    assert (
        call("status", "done", "--watch", "--runs", runs).stdout
        == call("status", "done", "--runs", runs).stdout
    )


def test_watching_prints_a_line_per_change_and_ends_with_the_sweep(runs: Path) -> None:
    with held_by_a_child(runs / "dead", "waits") as child:
        command = [*CLI, "status", "dead", "--watch", "--runs", str(runs)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watching:
            assert watching.stdout is not None
            first = watching.stdout.readline()
            assert subprocess.run([*CLI, "stop", "dead", "--no-wait", "--runs", str(runs)], check=True)
            child.communicate("go on\n")
            rest = watching.stdout.read()
    assert watching.returncode == 0
    shared = "5 of 8 trials done; 1 proposed"
    assert first.partition("  ")[2].startswith(f"running: {shared}, 1 training")
    assert rest.splitlines()[-1].partition("  ")[2].startswith(f"stopped: {shared}, 1 paused")


def test_sweeps_of_other_devices_do_not_compare_and_neither_is_ahead(call, runs: Path) -> None:
    result = call("compare", "dead", "done", "--runs", runs)
    assert result.exit_code == 0
    assert "Scores do NOT compare: device class differs." in result.stdout
    assert "ahead" not in result.stdout
    plain = json.loads(call("compare", "dead", "done", "--json", "--runs", runs).stdout)
    assert (plain["comparable"], plain["better"], plain["tie"]) == (False, None, False)


def test_a_sweep_that_never_started_cannot_be_compared(call, runs: Path) -> None:
    result = call("compare", "done", "unstarted", "--runs", runs)
    message = "error: sweep unstarted never started: there is nothing to compare\n"
    assert (result.exit_code, result.stderr) == (2, message)


def test_gc_says_the_same_dry_and_removes_only_then_what_nobody_needs(call, runs: Path) -> None:
    for name in ("done", "dead", "torn"):
        (runs / name / "ray").mkdir()
        (runs / name / "ray" / "state").write_bytes(bytes(1_200_000))
    (runs / "mine").mkdir()
    (runs / "mine" / "notes.txt").write_text("no sweep")
    (runs / "mlflow.db").write_bytes(bytes(10))
    before = tree(runs)
    with held_by_a_child(runs / "dead", "deaf"):
        dry = call("gc", "--dry-run", "--runs", runs)
        assert tree(runs) == before
        real = call("gc", "--runs", runs)
    lines = dry.stdout.splitlines()
    assert [line.split() for line in lines[:2]] == [
        ["done/ray", "1.2", "MB", "Ray's", "bookkeeping", "of", "a", "run"],
        ["unstarted", "0.0", "MB", "a", "run", "that", "never", "started"],
    ]
    assert lines[2] == "sweep dead is running: left alone"
    assert lines[3].startswith("sweep torn is left alone, its journal is damaged: ")
    assert lines[4] == "1.2 MB in 2 places: nothing removed (--dry-run)"
    assert real.stdout.splitlines() == [*lines[:4], "1.2 MB in 2 places: removed"]
    gone = {"done/ray", "done/ray/state", "unstarted", "unstarted/journal.jsonl", "unstarted/sweep.lock"}
    assert tree(runs) == before - gone


def test_gc_of_named_sweeps_leaves_the_others_alone(call, runs: Path) -> None:
    (runs / "done" / "stop").touch()
    (runs / "dead" / "stop").touch()
    result = call("gc", "dead", "dead", "--runs", runs)
    assert result.exit_code == 0
    assert "0.0 MB in 1 place: removed" in result.stdout
    assert ((runs / "done" / "stop").exists(), (runs / "dead" / "stop").exists()) == (True, False)
    assert call("gc", "dead", "--runs", runs).stdout == "nothing to remove\n"


HEAVY = {"mlflow", "numba", "optuna", "ray", "tensorflow", "torch"}


@pytest.mark.parametrize(
    "command",
    ["list", "status done", "stop done", "add-trials done 1", "compare done dead", "gc"],
)
def test_managing_sweeps_loads_none_of_the_heavy_libraries(runs: Path, command: str) -> None:
    arguments = [*command.split(), "--runs", str(runs)]
    program = (
        f"import sys; from sweep.cli import app; app({arguments!r}, standalone_mode=False); "
        f"print('loaded:', sorted({HEAVY!r} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "loaded: []"
