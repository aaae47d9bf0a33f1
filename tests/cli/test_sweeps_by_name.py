"""Commands that take a sweep's name: unknown, damaged, unstarted and running ones."""

from pathlib import Path

import pytest

from sweep.cli.arguments import free_name
from sweep.cli.errors import UsageError
from sweep.cli.result_commands import copy_whole
from sweep.lifecycle import Journal

COMMANDS = [
    ("leaderboard",),
    ("leaderboard", "--json"),
    ("resume",),
    ("finalize",),
    ("status",),
    ("status", "--json"),
    ("best", "-o", "model.tflite"),
]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder with one sweep that never started and one whose journal is damaged."""
    for name, text in (("unstarted", ""), ("damaged", '{"sequence":0,\n')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "journal.jsonl").write_text(text)
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_an_unknown_name_is_answered_with_the_sweeps_that_there_are(call, runs, command) -> None:
    result = call(*command, "nosuch", "--runs", runs)
    message = f"error: no sweep 'nosuch' in {runs}; there are: damaged, unstarted\n"
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", message)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_without_any_sweep_the_command_to_start_one_is_named(call, tmp_path, command) -> None:
    result = call(*command, "nosuch", "--runs", tmp_path / "runs")
    advice = "start one with: sweep run mobilenetv3, or give --runs DIR"
    message = f"error: {tmp_path / 'runs'} holds no sweep; {advice}\n"
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", message)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_damaged_journal_is_named_with_its_line(call, runs, command) -> None:
    result = call(*command, "damaged", "--runs", runs)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"error: {runs / 'damaged' / 'journal.jsonl'}: line 1 is damaged: ")
    assert result.stderr.count("\n") == 1


def test_a_name_cannot_lead_out_of_the_folder_of_sweeps(call, runs) -> None:
    result = call("leaderboard", "../damaged", "--runs", runs / "unstarted")
    assert result.exit_code == 2
    assert "holds no sweep" in result.stderr


def test_resuming_a_sweep_that_never_started_says_to_run_it(call, runs) -> None:
    result = call("resume", "unstarted", "--runs", runs)
    assert (result.exit_code, result.stderr) == (2, "error: sweep unstarted never started; run it again\n")


def test_resuming_a_running_sweep_is_refused_before_anything_starts(call, runs) -> None:
    with Journal(runs / "unstarted"):
        result = call("resume", "unstarted", "--runs", runs)
    message = f"error: {runs / 'unstarted'} is in use by another process\n"
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", message)


def test_best_of_a_sweep_without_a_complete_trial_points_to_its_leaderboard(call, runs) -> None:
    output = runs / "model.tflite"
    result = call("best", "unstarted", "-o", output, "--runs", runs)
    message = "error: sweep unstarted has no complete trial yet; see: sweep leaderboard unstarted\n"
    assert (result.exit_code, result.stderr) == (2, message)
    assert not output.exists()


def test_a_sweep_gets_the_first_free_number(tmp_path: Path) -> None:
    assert free_name(tmp_path, None, "space") == "space-1"
    (tmp_path / "space-1").mkdir()
    (tmp_path / "space-2").write_text("a file")
    assert free_name(tmp_path, None, "space") == "space-3"


def test_the_name_of_a_sweep_that_never_started_is_free(runs: Path) -> None:
    assert free_name(runs, "unstarted", "space") == "unstarted"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "--name: found ''; allowed: up to 64 letters, digits, _, . and -, a letter or digit first"),
        (
            "a/b",
            "--name: found 'a/b'; allowed: up to 64 letters, digits, _, . and -, a letter or digit first",
        ),
        ("..", "--name: found '..'; allowed: up to 64 letters, digits, _, . and -, a letter or digit first"),
        ("mlflow.db", "--name: mlflow.db is where MLflow keeps its files; choose another name"),
        ("mlflow-artifacts", "--name: mlflow-artifacts is where MLflow keeps its files; choose another name"),
        (
            "damaged",
            "--name: sweep damaged exists in {runs}: go on with `sweep resume damaged`, or choose another name",
        ),
        ("other", "--name: {runs}/other exists and is no sweep; choose another name"),
    ],
)
def test_a_name_that_cannot_be_used_says_why(runs: Path, name: str, message: str) -> None:
    (runs / "other").mkdir()
    with pytest.raises(UsageError) as caught:
        free_name(runs, name, "space")
    assert str(caught.value) == message.format(runs=runs)


def test_a_failed_copy_names_both_files_and_leaves_nothing_beside_the_target(tmp_path: Path) -> None:
    source, target = tmp_path / "gone.tflite", tmp_path / "out" / "model.tflite"
    target.parent.mkdir()
    target.write_bytes(b"the earlier file")
    with pytest.raises(OSError, match=f"^cannot copy {source} to {target}: No such file or directory$"):
        copy_whole(source, target)
    assert [path.name for path in target.parent.iterdir()] == ["model.tflite"]
    assert target.read_bytes() == b"the earlier file"


def test_a_copy_replaces_the_target_whole(tmp_path: Path) -> None:
    source, target = tmp_path / "new.tflite", tmp_path / "model.tflite"
    source.write_bytes(b"new")
    target.write_bytes(b"the earlier file")
    copy_whole(source, target)
    assert (source.read_bytes(), target.read_bytes()) == (b"new", b"new")
