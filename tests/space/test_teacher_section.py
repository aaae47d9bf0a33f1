"""The teacher section of a space file, and what it names."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from sweep.hashing import sha256_of
from sweep.space import RandomSuggest, SpaceError, load_space, parse_space
from sweep.space.candidate_file import load_candidate
from sweep.space.chosen_teacher import ChosenTeacher, teacher_of

MINIATURE = Path(__file__).parents[1] / "end_to_end" / "miniature.yaml"
GUIDED = {"start": 0.5, "depth": 1.0, "features": 0.0, "pairwise": 0.0}
TEACHER = {"candidate": "teacher.yaml"}


def space_text(teacher: object = None, distillation: object = None) -> str:
    data = yaml.safe_load(MINIATURE.read_text())
    if distillation is not None:
        data["recipe"]["distillation"] = distillation
    return yaml.safe_dump(data if teacher is None else {**data, "teacher": teacher})


def write_candidate(path: Path, **recipe: Any) -> Path:
    candidate = load_space(MINIATURE).draw(RandomSuggest(7))[1].model_dump(mode="json")
    candidate["recipe"] |= recipe
    path.write_text(yaml.safe_dump({"name": "big", **candidate}))
    return path


def problems_of(text: str) -> list[str]:
    with pytest.raises(SpaceError) as caught:
        parse_space(text, "space.yaml")
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    "distillation",
    [
        {"kind": "teacher", **GUIDED},
        {"choose": {"none": {}, "teacher": GUIDED}},
    ],
    ids=["always", "sometimes"],
)
def test_a_recipe_that_may_ask_for_a_teacher_needs_one_in_its_space(distillation: object) -> None:
    assert problems_of(space_text(distillation=distillation)) == [
        "space.yaml: teacher: found nothing; allowed: {candidate: PATH}, for recipe.distillation asks for "
        "kind: teacher"
    ]
    assert parse_space(space_text(TEACHER, distillation)).document.teacher is not None


def test_a_recipe_without_one_does_not() -> None:
    assert parse_space(space_text(distillation={"kind": "none"})).document.teacher is None


def test_a_teacher_changes_neither_the_spaces_hash_nor_that_of_candidates() -> None:
    plain, taught = parse_space(space_text()), parse_space(space_text(TEACHER))
    assert plain.hash == taught.hash
    assert plain.draw(RandomSuggest(7))[1].hash == taught.draw(RandomSuggest(7))[1].hash


@pytest.mark.parametrize(
    ("teacher", "place"),
    [
        ({}, "teacher.candidate: found nothing"),
        ({"candidate": 3}, "teacher.candidate: found 3"),
        ({**TEACHER, "epochs": 0}, "teacher.epochs: found 0"),
        ({**TEACHER, "epoch": 3}, "teacher.epoch: found an unknown key"),
        (
            {**TEACHER, "epochs": 3, "checkpoint": "a.pt"},
            "teacher.epochs: found 3; allowed: nothing beside",
        ),
        ("teacher.yaml", 'teacher: found "teacher.yaml"; allowed: a mapping with'),
    ],
)
def test_what_is_wrong_is_named_with_its_place(teacher: object, place: str) -> None:
    (problem,) = problems_of(space_text(teacher))
    assert problem.startswith(f"space.yaml: {place}")


@pytest.mark.parametrize(("section", "epochs"), [({}, 2), ({"epochs": 7}, 7)])
def test_a_teacher_of_the_sweep_is_read_beside_the_space(
    tmp_path: Path, section: dict[str, Any], epochs: int
) -> None:
    candidate = load_candidate(write_candidate(tmp_path / "teacher.yaml")).candidate
    (tmp_path / "space.yaml").write_text(space_text({**TEACHER, "stands_for": "Swin", **section}))
    found = teacher_of(load_space(tmp_path / "space.yaml"))
    assert found == ChosenTeacher(
        name="big",
        candidate=candidate.model_dump(mode="json"),
        candidate_hash=candidate.hash,
        epochs=epochs,
        stands_for="Swin",
    )
    assert found.identity == {"candidate": candidate.hash, "epochs": epochs}
    assert found.title == "big (stands for Swin)"
    assert ChosenTeacher.from_json(found.to_json()) == found


def test_a_teacher_that_was_trained_before_is_its_weights(tmp_path: Path) -> None:
    candidate = load_candidate(write_candidate(tmp_path / "teacher.yaml")).candidate
    (tmp_path / "weights.pt").write_bytes(b"weights")
    (tmp_path / "space.yaml").write_text(
        space_text({**TEACHER, "checkpoint": "weights.pt", "name": "bigger"})
    )
    found = teacher_of(load_space(tmp_path / "space.yaml"))
    assert found is not None
    assert (found.name, found.epochs, found.title) == ("bigger", 0, "bigger")
    assert found.checkpoint == str(tmp_path / "weights.pt")
    sha256 = sha256_of(tmp_path / "weights.pt")
    assert found.identity == {"candidate": candidate.hash, "checkpoint": sha256}


def test_weights_that_are_not_there_are_named_by_their_key(tmp_path: Path) -> None:
    write_candidate(tmp_path / "teacher.yaml")
    (tmp_path / "space.yaml").write_text(space_text({**TEACHER, "checkpoint": "weights.pt"}))
    with pytest.raises(SpaceError, match=r"space\.yaml: teacher\.checkpoint: found .*weights\.pt"):
        teacher_of(load_space(tmp_path / "space.yaml"))


def test_a_teacher_is_not_taught_itself(tmp_path: Path) -> None:
    write_candidate(tmp_path / "teacher.yaml", distillation={"kind": "teacher", **GUIDED})
    (tmp_path / "space.yaml").write_text(space_text(TEACHER))
    with pytest.raises(SpaceError, match=r"teacher\.yaml: recipe\.distillation: found a teacher that has"):
        teacher_of(load_space(tmp_path / "space.yaml"))


def test_a_space_without_a_teacher_has_none() -> None:
    assert teacher_of(load_space(MINIATURE)) is None


def test_a_teacher_s_own_file_may_say_what_it_stands_for(tmp_path: Path) -> None:
    path = write_candidate(tmp_path / "teacher.yaml")
    path.write_text(path.read_text() + "stands_for: Swin\n")
    (tmp_path / "space.yaml").write_text(space_text(TEACHER))
    found = teacher_of(load_space(tmp_path / "space.yaml"))
    assert found is not None
    assert found.stands_for == "Swin"
