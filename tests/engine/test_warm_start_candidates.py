"""``warm_start: [{candidates: PATH}]``: candidate files as first trials, each as the space spells it."""

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

sys.path.append(str(Path(__file__).parents[1] / "space"))
from space_documents import put, small_document, space_of

from sweep.engine.starts import first_trials
from sweep.search.ports import Start
from sweep.space import Space, SpaceError, load_candidate, load_space
from sweep.space.load import load_candidate_files


def write(file: Path, width: int, rate: float) -> None:
    document = put(put(small_document(), "recipe.learning_rate", rate), "architecture.decoder.width", width)
    candidate = {key: document[key] for key in ("architecture", "recipe")} | {"name": file.stem}
    file.write_text(yaml.safe_dump(candidate))


def space_from(path: Path | str, **changes: Any) -> Space:
    document = put(small_document(), "architecture.decoder.width", {"int": [8, 32], "step": 8})
    for key, value in changes.items():
        put(document, key.replace("__", "."), value)
    return space_of(document | {"warm_start": [{"candidates": str(path)}]})


def warm(width: int, rate: float) -> Start:
    return Start({"architecture.decoder.width": width, "recipe.learning_rate": rate}, "warm_start")


def test_a_file_is_a_first_trial(tmp_path: Path) -> None:
    write(tmp_path / "one.yaml", 24, 2e-3)
    assert first_trials(space_from(tmp_path / "one.yaml"), tmp_path) == (warm(24, 2e-3),)


def test_a_folder_is_a_first_trial_for_each_file_of_it(tmp_path: Path) -> None:
    write(tmp_path / "b.yaml", 8, 2e-3)
    write(tmp_path / "a.yaml", 16, 3e-3)
    assert first_trials(space_from(tmp_path), tmp_path) == (warm(16, 3e-3), warm(8, 2e-3))


def test_what_the_space_cannot_express_is_named_with_its_file(tmp_path: Path) -> None:
    write(tmp_path / "fine.yaml", 16, 2e-3)
    write(tmp_path / "wide.yaml", 40, 2e-3)
    write(tmp_path / "fast.yaml", 8, 0.5)
    with pytest.raises(SpaceError) as raised:
        first_trials(space_from(tmp_path), tmp_path)
    assert str(raised.value).splitlines() == [
        f"small.yaml: warm_start.0.candidates ({tmp_path}/fast.yaml): recipe.learning_rate: found 0.5; "
        "allowed: numbers from 0.001 to 0.01, log",
        f"small.yaml: warm_start.0.candidates ({tmp_path}/wide.yaml): architecture.decoder.width: found 40; "
        "allowed: integers from 8 to 32 in steps of 8",
    ]


def test_a_path_that_leads_nowhere_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match="nowhere: found no such file"):
        first_trials(space_from("nowhere"), tmp_path)


def test_the_eight_systems_are_the_first_trials_of_their_union(tmp_path: Path) -> None:
    space = load_space("mai2022/all")
    starts = first_trials(space, tmp_path)
    systems = [file.candidate for file in load_candidate_files("mai2022")]
    assert [space.candidate(start.assignment) for start in starts] == systems
    assert len(starts) == 8


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("architecture.decoder", {"kind": "light", "width": 8, "upsampling": "nearest"},
         'architecture.decoder.kind: found "add"; allowed: "light"'),
        ("architecture.decoder", {"choose": {"light": {"width": 8, "upsampling": "nearest"},
                                             "simple_fusion": {"width": 8, "upsampling": "nearest"}}},
         'architecture.decoder.kind: found "add"; allowed: light, simple_fusion'),
        ("architecture.decoder", {"choose": {"light": {}, "add": {}}, "width": 8, "upsampling": "nearest"},
         "architecture.decoder.width: found 16; allowed: 8"),
        ("architecture.input", {"choose": {"a": {"height": 64, "width": 64}, "b": {"height": 96, "width": 96}},
                                "resize": "bilinear"},
         'architecture.input: found {"height": 96, "width": 128, "resize": "bilinear"}; allowed: a, b'),
        ("recipe.gradient_clip", {"choose": [1, 2]}, "recipe.gradient_clip: found nothing; allowed: 1.0, 2.0"),
        ("recipe.augmentation.rotation", 15, "recipe.augmentation.rotation: found 0.0; allowed: 15.0"),
        ("recipe.loss.l1", 1, "recipe.loss.l1: found 0.0; allowed: 1.0"),
    ],
)  # fmt: skip
def test_the_first_key_that_cannot_be_expressed_is_named(path: str, value: object, problem: str) -> None:
    candidate = space_of(small_document()).candidate({"recipe.learning_rate": 2e-3})
    space = space_of(put(small_document(), path, value))
    with pytest.raises(SpaceError) as raised:
        space.assignment_of(candidate)
    assert str(raised.value) == f"small.yaml: {problem}"


def test_a_key_that_the_space_does_not_have_is_named() -> None:
    document = put(small_document(), "recipe.augmentation.rotation", 15)
    candidate = space_of(document).candidate({"recipe.learning_rate": 2e-3})
    with pytest.raises(SpaceError) as raised:
        space_of(small_document()).assignment_of(candidate)
    assert str(raised.value) == (
        "small.yaml: recipe.augmentation.rotation: found 15.0; allowed: nothing: this space leaves the key out"
    )


def test_a_bundled_system_in_a_space_without_its_input_is_refused() -> None:
    found = (
        r'architecture\.input: found {"height": 192, "width": 256, "resize": "bilinear"}; allowed: 128x160,'
    )
    with pytest.raises(SpaceError, match=found):
        load_space("ghostnet").assignment_of(load_candidate("mai2022/icl").candidate)
