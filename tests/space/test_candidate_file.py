"""Candidate files: read strictly, found by name, and kept with what was published about them."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from space_documents import put, small_document

from sweep.space import PublishedRow, SpaceError, load_candidate
from sweep.space.bundled import bundled_names
from sweep.space.candidate_file import parse_candidate
from sweep.space.load import load_candidate_files

ROW = {
    "size_mb": 2.9,
    "si_rmse": 0.2773,
    "rmse": 3.47,
    "log10": 0.1103,
    "rel": 0.2997,
    "runtime_ms": 46,
    "final_score": 298,
}


def small_candidate() -> dict[str, Any]:
    document = small_document()
    put(document, "recipe.learning_rate", 1e-3)
    return {key: document[key] for key in ("architecture", "recipe")} | {"name": "small"}


def problems_of(document: dict[str, Any]) -> list[str]:
    with pytest.raises(SpaceError) as raised:
        parse_candidate(yaml.safe_dump(document), "c.yaml")
    return str(raised.value).splitlines()


def test_a_candidate_is_what_its_file_says(tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    content = small_candidate() | {"description": "Tiny.", "published": ROW, "teacher": "../big.yaml"}
    text = yaml.safe_dump(content)
    file.write_text(text)
    found = load_candidate(file)
    assert (found.name, found.description, found.file, found.text) == ("small", "Tiny.", str(file), text)
    assert found.candidate.architecture.decoder.width == 16
    assert found.candidate.recipe.learning_rate == 1e-3
    assert found.published == PublishedRow(**ROW)
    assert found.teacher == tmp_path / ".." / "big.yaml"


def test_what_a_file_need_not_say_is_absent() -> None:
    found = parse_candidate(yaml.safe_dump(small_candidate()), "c.yaml")
    assert (found.description, found.published, found.teacher, found.own) == ("", None, None, ())


NOTHING_OPEN = "allowed: one value: a candidate has no open values, which are for search spaces"


@pytest.mark.parametrize(
    ("path", "value", "found"),
    [
        ("recipe.learning_rate", {"float": [1, 2]}, '{"float": [1, 2]}'),
        ("recipe.batch_size", {"choose": [1]}, '{"choose": [1]}'),
        ("recipe.optimizer", {"choose": {"adam": {}}}, '{"choose": {"adam": {}}}'),
        ("architecture.encoder.stage1.depth", {"int": [1, 1]}, '{"int": [1, 1]}'),
    ],
)
def test_open_values_are_refused(path: str, value: object, found: str) -> None:
    assert problems_of(put(small_candidate(), path, value)) == [
        f"c.yaml: {path}: found {found}; {NOTHING_OPEN}"
    ]


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        ("recipe.learning_rate", 11, "recipe.learning_rate: found 11; allowed: a number above 0 up to 10"),
        (
            "recipe.optimizer",
            {"kind": "adan"},
            'recipe.optimizer: found {"kind": "adan"}; allowed: {kind: NAME, ...} with NAME one of adam, adamw',
        ),
        ("budget", {"trials": 1}, "budget: found an unknown key; allowed: name, description, architecture, "),
        ("published", {**ROW, "rmse": "3"}, 'published.rmse: found "3"; allowed: a number above 0'),
        ("published", {**ROW, "rmse": 0}, "published.rmse: found 0; allowed: a number above 0"),
        ("published", {**ROW, "mse": 1}, "published.mse: found an unknown key; allowed: team, size_mb, si_"),
        ("published", {"team": "x"}, "published.size_mb: found nothing; allowed: a number above 0"),
        ("teacher", 3, "teacher: found 3; allowed: a valid string"),
        ("name", "", 'name: found ""; allowed: up to 64 letters'),
    ],
)
def test_what_is_wrong_is_explained_without_a_word_of_choices(path: str, value: object, line: str) -> None:
    first, *_ = problems_of(put(small_candidate(), path, value))
    assert first.startswith(f"c.yaml: {line}")
    assert "choose" not in first


def test_values_that_cannot_be_together_are_one_problem() -> None:
    document = small_candidate()
    stage = document["architecture"]["encoder"]["stage1"]
    put(document, "architecture.encoder.stop", {"kind": "stride_32", "stage3": stage, "stage4": stage})
    assert problems_of(put(document, "architecture.input.height", 112)) == [
        "c.yaml: found values that cannot be together (input 112x128 is not a multiple of the encoder's stride "
        "32); allowed: a possible candidate"
    ]


@pytest.mark.parametrize("name", ["mai2022/tcl", "mai2022/tcl.yaml", "search_spaces/mai2022/tcl.yaml"])
def test_bundled_candidates_are_found_by_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_candidate(name).name == "tcl"
    own = tmp_path / name
    own.parent.mkdir(parents=True)
    own.write_text(yaml.safe_dump(small_candidate()))
    assert load_candidate(name).name == "small"


def test_a_bundled_teacher_is_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    teacher = load_candidate("mai2022/aiia_hit").teacher
    assert teacher is not None
    assert load_candidate(teacher).name == "efficientnet_b1_teacher"
    assert load_candidate("mai2022/../teachers/efficientnet_b1.yaml").name == "efficientnet_b1_teacher"


def test_a_name_that_nothing_has_is_explained(tmp_path: Path) -> None:
    for path, found in [("mai2022/tcm", "no such file"), (str(tmp_path), "a directory")]:
        with pytest.raises(SpaceError) as raised:
            load_candidate(path)
        assert str(raised.value).startswith(f"{path}: found {found}; allowed: ")
    with pytest.raises(SpaceError, match="did you mean mai2022/tcl"):
        load_candidate("mai2022/tcm")


def test_every_bundled_candidate_loads() -> None:
    names = [name for name in bundled_names() if name.startswith("mai2022/") and name != "mai2022/all"]
    found = load_candidate_files("mai2022")
    assert [file.file for file in found] == [f"{name}.yaml" for name in names]
    assert [file.candidate for file in found] == [load_candidate(name).candidate for name in names]
    assert all(file.published for file in found)
