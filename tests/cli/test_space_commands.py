"""``sweep check`` and ``sweep schema``."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

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
    message = "error: nosuch: found no such file; allowed: a YAML file, or a bundled space: mobilenetv3\n"
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", message)
    assert not (tmp_path / "runs").exists()


def test_the_bundled_space_is_found_by_name_and_by_path(call) -> None:
    by_name, by_path = call("check", "mobilenetv3"), call("check", BUNDLED)
    assert (by_name.exit_code, by_path.exit_code) == (0, 0)
    assert by_name.stdout.splitlines()[1:] == by_path.stdout.splitlines()[1:]


def test_the_schema_is_valid_and_accepts_the_bundled_space(call) -> None:
    result = call("schema")
    schema = json.loads(result.stdout)
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(read_yaml(BUNDLED.read_bytes(), BUNDLED.name))
    assert not Draft202012Validator(schema).is_valid({"nome": "x"})
