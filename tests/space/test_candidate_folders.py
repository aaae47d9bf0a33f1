"""A folder of candidate files as a space: one parameter, each file tried once, all of it kept in one text."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console
from space_documents import put
from test_candidate_file import ROW, small_candidate

from sweep.space import (
    Options,
    Parameter,
    PublishedRow,
    RandomSuggest,
    Space,
    SpaceError,
    load_candidate,
    load_candidates,
    load_space,
    parse_space,
)
from sweep.space.describe import describe
from sweep.space.document import Target

TEACHER = {"kind": "teacher", "start": 0.5, "depth": 1.0, "features": 0.0, "pairwise": 0.0}


def write(folder: Path, name: str, **changes: Any) -> Path:
    """A candidate file; ``changes`` are by path, with __ for the dots."""
    document = small_candidate() | {"name": name.rsplit("/", maxsplit=1)[-1]}
    for path, value in changes.items():
        put(document, path.replace("__", "."), value)
    file = folder / f"{name}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"# {name}\n" + yaml.safe_dump(document, sort_keys=False))
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "my systems"
    write(place, "wide", architecture__encoder__width=1.0, published={**ROW, "team": "Wide"})
    write(place, "narrow")
    write(place, "patient", recipe__batch_size=16)
    (place / "notes.txt").write_text("no candidate")
    return place


def refusal(folder: Path) -> list[str]:
    with pytest.raises(SpaceError) as raised:
        load_candidates(folder)
    return [line.replace(str(folder), "F") for line in str(raised.value).splitlines()]


def test_the_only_parameter_is_the_file_and_each_is_a_first_trial(folder: Path) -> None:
    space = load_candidates(folder)
    names = ("narrow", "patient", "wide")
    assert space.parameters() == (Parameter("candidate", Options(names)),)
    assert space.start_from == tuple({"candidate": name} for name in names)
    for name in names:
        candidate = load_candidate(folder / f"{name}.yaml").candidate
        assert space.candidate({"candidate": name}) == candidate
        assert space.assignment_of(candidate) == {"candidate": name}
    assert {space.sample(RandomSuggest(seed))["candidate"] for seed in range(30)} == set(names)


def test_there_is_one_budget_without_early_stopping(folder: Path) -> None:
    document = load_candidates(folder).document
    assert (document.name, document.budget.trials, document.budget.max_epochs) == ("my_systems", 3, 6)
    assert (document.rungs, document.budget.time_s, document.keep) == (None, None, 3)
    assert load_candidates(folder).with_budget(max_epochs=2, time_s=60).document.budget.max_epochs == 2


def test_a_target_is_kept_with_the_files(folder: Path) -> None:
    asked = Target(runtime="tflite-2.5.0", delegate="none", threads=4)
    space = load_candidates(folder, asked)
    assert space.document.target == asked
    assert parse_space(space.text).document.target == asked


def test_what_is_kept_needs_no_file(folder: Path) -> None:
    space = load_candidates(folder)
    texts = {file.stem: file.read_text() for file in folder.glob("*.yaml")}
    for file in folder.iterdir():
        file.unlink()
    again = parse_space(space.text, space.file)
    assert (again.hash, again.parameters(), again.published) == (
        space.hash,
        space.parameters(),
        space.published,
    )
    kept = yaml.safe_load(space.text)["candidates"]
    assert {name: entry["text"] for name, entry in kept.items()} == texts
    assert "\n      # wide\n      architecture:\n        input:\n" in space.text  # as people wrote it


def test_published_rows_travel_with_the_space(folder: Path) -> None:
    assert load_candidates(folder).published == {"wide": PublishedRow(**{**ROW, "team": "Wide"})}


def test_it_counts_networks_not_files(folder: Path) -> None:
    space = load_candidates(folder)
    assert space.architectures() == 2
    assert (space.architecture_analysis.impossible, space.recipe_analysis.possible) == (0, 2)


def test_it_can_be_described(folder: Path) -> None:
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115  lives as long as the console
    console.print(describe(load_candidates(folder)))
    text = console.export_text()
    assert "candidate" in text
    assert "narrow, patient, wide" in text
    assert "2 architectures; every combination is possible." in text


def test_the_hash_is_of_the_candidates_and_not_of_their_spelling(folder: Path) -> None:
    before = load_candidates(folder).hash
    write(folder, "wide", architecture__encoder__width=1, description="Other words.")
    assert load_candidates(folder).hash == before
    write(folder, "wide", architecture__encoder__width=0.75)
    assert load_candidates(folder).hash != before


def test_search_spaces_are_passed_over_and_a_person_is_told(folder: Path) -> None:
    (folder / "all.yaml").write_text("name: all\nbudget: {trials: 1, max_epochs: 1}\n")
    space = load_candidates(folder)
    assert space.notes == ("all.yaml is passed over: it is a search space",)
    assert [parameter.domain.size for parameter in space.parameters()] == [3]


def test_the_teacher_that_all_name_is_that_of_the_sweep(folder: Path) -> None:
    teacher = write(folder.parent, "teachers/big")
    write(folder, "guided", teacher="../teachers/big.yaml", recipe__distillation=TEACHER)
    write(folder, "guided_too", teacher=str(teacher), recipe__distillation={**TEACHER, "start": 0.0})
    section = load_candidates(folder).document.teacher
    assert section is not None
    assert load_candidate(section.candidate).name == "big"


def test_a_teacher_within_the_folder_is_no_candidate(folder: Path) -> None:
    write(folder, "guided", teacher="wide.yaml", recipe__distillation=TEACHER)
    space = load_candidates(folder)
    assert space.parameters()[0].domain == Options(("guided", "narrow", "patient"))
    assert space.notes == ("wide.yaml is passed over: it is the others' teacher",)


def test_two_teachers_are_an_error(folder: Path) -> None:
    write(folder, "a", teacher="wide.yaml", recipe__distillation=TEACHER)
    write(folder, "b", teacher="narrow.yaml", recipe__distillation=TEACHER)
    (line,) = refusal(folder)
    assert line == (
        "F: teacher: found F/wide.yaml in F/a.yaml and F/narrow.yaml in F/b.yaml; "
        "allowed: one teacher for all candidates of a folder"
    )


def test_a_recipe_that_asks_for_a_teacher_needs_one(folder: Path) -> None:
    write(folder, "a", recipe__distillation=TEACHER)
    assert refusal(folder) == [
        "F/a.yaml: teacher: found nothing; allowed: PATH, for its recipe.distillation asks for a teacher"
    ]


def test_two_files_of_one_candidate_are_an_error(folder: Path) -> None:
    write(folder, "again", description="Narrow, in other words.")
    assert refusal(folder) == [
        "F: candidate: found options again and narrow, which can make the same values; "
        "allowed: options that differ in at least one key"
    ]


def test_what_is_wrong_in_a_file_is_said_of_that_file(folder: Path) -> None:
    write(folder, "wrong", recipe__batch_size=0)
    assert refusal(folder) == [
        "F/wrong.yaml: recipe.batch_size: found 0; allowed: an integer from 1 up to 1024"
    ]


def test_a_folder_without_candidates_is_an_error(tmp_path: Path) -> None:
    assert refusal(tmp_path) == ["F: found no candidate; allowed: a folder with candidates' YAML files"]
    assert refusal(tmp_path / "nowhere") == [
        "F: found a folder that cannot be read (No such file or directory); "
        "allowed: a folder with candidates' YAML files"
    ]


@pytest.mark.parametrize("name", ["mai2022", "search_spaces/mai2022", "search_spaces/mai2022/"])
def test_the_bundled_folder_is_found_by_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    space = load_space(name)
    assert len(space.published) == 8
    assert space.document.name == "mai2022"


def test_a_first_trial_of_another_name_is_refused(folder: Path) -> None:
    space: Space = load_candidates(folder)
    with pytest.raises(SpaceError, match='found "tcl"; allowed: narrow, patient, wide'):
        space.fitted({"candidate": "tcl"}, "start")
