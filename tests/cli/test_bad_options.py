"""What is wrong with an option is said before anything heavy starts, and nothing is left behind."""

import socket
from pathlib import Path

import pytest

ADDRESS = "address 'nonsense': expected HOST:PORT, such as 127.0.0.1:50051"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_text("no model, no folder")
    return path


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--farm", "nonsense"), f"--farm: {ADDRESS}"),
        (("--ray-address", "nonsense"), f"--ray-address: {ADDRESS}, or auto"),
        (
            ("--data", "{tmp}/none"),
            "--data {tmp}/none: no such file or folder; allowed: a folder with train/ and validation/, NYU Depth "
            "v2's labelled .mat file, or package.module:Class of a source of one's own",
        ),
        (
            ("--data", "{tmp}/file"),
            "--data {tmp}/file: a file for which there is no reader; allowed: a folder with train/ and validation/"
            ", NYU Depth v2's labelled .mat file, or package.module:Class of a source of one's own",
        ),
        (
            ("--time", "abc"),
            "--time: found 'abc'; allowed: a duration above zero such as 90s, 10m, 2h or 1h30m",
        ),
        (
            ("--time", "0s"),
            "--time: found '0s'; allowed: a duration above zero such as 90s, 10m, 2h or 1h30m",
        ),
        (("--runs", "{tmp}/file"), "--runs {tmp}/file: File exists; allowed: a folder that can be written"),
    ],
)
@pytest.mark.usefixtures("file")
def test_run_names_the_option_and_what_is_allowed(call, tmp_path, options, message) -> None:
    before = sorted(tmp_path.iterdir())
    filled = [option.format(tmp=tmp_path) for option in options]
    result = call("run", "mobilenetv3", "--runs", tmp_path / "runs", *filled)
    expected = f"error: {message.format(tmp=tmp_path)}\n"
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", expected)
    assert sorted(tmp_path.iterdir()) == before


def test_run_says_at_once_that_no_ray_cluster_answers(call, tmp_path) -> None:
    result = call("run", "mobilenetv3", "--runs", tmp_path / "runs", "--ray-address", "127.0.0.1:1")
    message = "error: --ray-address 127.0.0.1:1: no cluster answers (Connection refused)\n"
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", message)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("option", [("--trials", "0"), ("--max-epochs", "0"), ("--cpus-per-trial", "0")])
def test_run_refuses_counts_below_one(call, tmp_path, option) -> None:
    result = call("run", "mobilenetv3", "--runs", tmp_path / "runs", *option)
    assert result.exit_code == 2
    assert f"'{option[0]}'" in result.stderr
    assert ": Input should be greater than or equal to 1" in result.stderr


def test_evaluate_refuses_what_is_no_model(call, tmp_path, file) -> None:
    cut = tmp_path / "cut.tflite"
    cut.write_bytes(b"\x1c\x00\x00\x00TFL3")
    answers = [call("evaluate", path) for path in (file, tmp_path / "none", tmp_path, cut)]
    assert [answer.exit_code for answer in answers] == [2, 2, 2, 2]
    assert answers[0].stderr == f"error: {file}: not a TFLite file: bytes 4 to 8 are b'odel', not b'TFL3'\n"
    assert answers[1].stderr == f"error: {tmp_path / 'none'}: no such file\n"
    assert answers[2].stderr == f"error: {tmp_path}: a folder, not a file\n"
    assert answers[3].stderr.startswith(f"error: {cut}: the TFLite file is damaged (")


def test_ui_says_that_a_port_is_taken(call, tmp_path) -> None:
    (tmp_path / "mlflow.db").touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = call("ui", "--port", port, "--runs", tmp_path)
    message = (
        f"error: cannot listen on 127.0.0.1:{port}: Address already in use; choose another --port or --host\n"
    )
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", message)


def test_ui_without_runs_says_how_to_start_one(call, tmp_path) -> None:
    result = call("ui", "--runs", tmp_path)
    message = f"error: {tmp_path} holds no sweep yet; start one with: sweep run mobilenetv3\n"
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", message)


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        ("{tmp}", "--picture {tmp}: found a folder; allowed: the path of a file in it"),
        ("{tmp}/none/x.png", "--picture {tmp}/none/x.png: there is no folder {tmp}/none"),
        ("{tmp}/x", "--picture {tmp}/x: found no suffix; allowed: .png"),
        ("/dev/null", "--picture /dev/null: not an ordinary file"),
    ],
)
def test_a_picture_is_refused_before_data_are_prepared(call, tmp_path, picture, message) -> None:
    result = call("data", "--picture", picture.format(tmp=tmp_path))
    expected = f"error: {message.format(tmp=tmp_path)}\n"
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", expected)


def test_data_of_a_wrong_layout_are_bad_input(call, tmp_path) -> None:
    result = call("data", tmp_path)
    lines = result.stderr.splitlines()
    assert (result.exit_code, result.stdout) == (2, "")
    assert lines[0] == f"error: {tmp_path}: 4 problems"
    assert lines[1] == "  train/rgb: cannot list the folder (No such file or directory)"


@pytest.mark.parametrize(
    "command",
    ["run", "resume", "check", "schema", "leaderboard", "best", "ui", "score", "evaluate", "doctor", "data"],
)
def test_every_command_has_help_that_fits_80_columns(call, command) -> None:
    result = call(command, "--help")
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert len(result.stdout.splitlines()) <= 50
