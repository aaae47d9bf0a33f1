"""``sweep check`` and ``sweep schema``."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from sweep.space import bundled_spaces
from sweep.space.strict_yaml import read_yaml

BUNDLED = Path(__file__).parents[2] / "search_spaces" / "mobilenetv3.yaml"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            b"",
            "{file}: found nothing (the file is empty); "
            "allowed: a mapping with name, architecture, recipe and budget",
        ),
        (
            b"a: [1",
            "{file}: line 1, column 6: found a syntax error (expected ',' or ']', but got '<stream end>'); "
            "allowed: valid YAML",
        ),
        (b"- 1", "{file}: found [1]; allowed: a mapping with name, architecture, recipe and budget"),
        (
            b"\xff",
            "{file}: line 1, column 1: found the byte 0xff, which is not UTF-8; allowed: text in UTF-8",
        ),
    ],
)
def test_a_file_that_is_no_space_is_refused_in_one_line(call, tmp_path, text, message) -> None:
    file = tmp_path / "space.yaml"
    file.write_bytes(text)
    result = call("check", file)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"error: {message.format(file=file)}\n"


def test_every_wrong_key_of_a_space_is_named_with_what_is_allowed(call, tmp_path) -> None:
    file = tmp_path / "space.yaml"
    text = BUNDLED.read_text("utf-8").replace("\nname: ", "\nnome: ").replace("trials: 12 ", "trials: 0 ")
    file.write_text(text, "utf-8")
    result = call("check", file)
    assert (result.exit_code, result.stdout) == (2, "")
    lines = result.stderr.splitlines()
    assert lines[0].startswith(f"error: {file}: name: found nothing; allowed: ")
    assert any(line.startswith(f"{file}: nome: found an unknown key; allowed: name, ") for line in lines)
    assert any(line.startswith(f"{file}: budget.trials: found 0; allowed: ") for line in lines)


@pytest.mark.parametrize("command", ["check", "run"])
def test_an_unknown_space_is_answered_with_the_bundled_ones(call, tmp_path, command) -> None:
    options = ("--runs", tmp_path / "runs") if command == "run" else ()
    result = call(command, "nosuch", *options)
    known = ", ".join(bundled_spaces())
    message = f"error: nosuch: found no such file; allowed: a YAML file, or a bundled space: {known}\n"
    assert "mobilenetv3" in known
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", message)
    assert not (tmp_path / "runs").exists()


def test_the_bundled_space_is_found_by_name_and_by_path(call) -> None:
    by_name, by_path = call("check", "mobilenetv3"), call("check", BUNDLED)
    assert (by_name.exit_code, by_path.exit_code) == (0, 0)
    assert by_name.stdout.splitlines()[1:] == by_path.stdout.splitlines()[1:]


def test_a_folder_of_candidates_is_checked_and_what_is_passed_over_is_said(call) -> None:
    result = call("check", "mai2022")
    assert result.exit_code == 0
    assert result.stderr == "note: all.yaml is passed over: it is a search space\n"
    assert "8 trials of up to 6 epochs" in result.stdout
    assert "tencent_gy_lab_2021" in result.stdout


@pytest.mark.parametrize("command", ["check", "run"])
def test_a_folder_without_candidates_is_refused(call, tmp_path, command) -> None:
    options = ("--runs", tmp_path / "runs") if command == "run" else ()
    (tmp_path / "empty").mkdir()
    result = call(command, tmp_path / "empty", *options)
    message = f"error: {tmp_path}/empty: found no candidate; allowed: a folder with candidates' YAML files\n"
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", message)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("space", "option", "message"),
    [
        (
            "mobilenetv3",
            ("--runtime", "tflite-2.5.0"),
            "--runtime, --threads, --delegate: mobilenetv3 is a search space, which has a target of its own; "
            "allowed with a folder of candidates",
        ),
        ("mai2022", ("--delegate", "gpu"), "--delegate: found 'gpu'; allowed: none, xnnpack"),
    ],
)
def test_a_target_is_asked_for_of_folders_alone(call, tmp_path, space, option, message) -> None:
    result = call("run", space, *option, "--runs", tmp_path / "runs")
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"error: {message}\n")


def test_the_schema_of_candidates_is_another_one(call) -> None:
    schema = json.loads(call("schema", "--candidate").stdout)
    validator = Draft202012Validator(schema)
    candidate = BUNDLED.parent / "mai2022" / "tcl.yaml"
    validator.validate(read_yaml(candidate.read_bytes(), candidate.name))
    assert not validator.is_valid(read_yaml(BUNDLED.read_bytes(), BUNDLED.name))


def test_the_schema_is_valid_and_accepts_the_bundled_space(call) -> None:
    result = call("schema")
    schema = json.loads(result.stdout)
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(read_yaml(BUNDLED.read_bytes(), BUNDLED.name))
    assert not Draft202012Validator(schema).is_valid({"nome": "x"})
