"""Where a sweep's first trials come from: the space, presets, earlier sweeps and files."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from sweep.engine.starts import first_trials, presets, winners
from sweep.judging.score import final_score
from sweep.lifecycle import Journal, read_state
from sweep.lifecycle.events import (
    AttemptEnded,
    AttemptStarted,
    EpochTrained,
    SweepStarted,
    TrialAdmitted,
    TrialCompleted,
    TrialProposed,
)
from sweep.space import RandomSuggest, Space, SpaceError, load_space, parse_space

TEXT = (Path(__file__).parents[2] / "search_spaces" / "mobilenetv3.yaml").read_text()


def space_with(**keys: Any) -> Space:
    document = yaml.safe_load(TEXT.replace("1e-", "1.0e-").replace("3e-", "3.0e-").replace("5e-", "5.0e-"))
    return parse_space(yaml.safe_dump({**document, "start_from": [], **keys}))


def earlier_sweep(directory: Path, space: Space, si_rmse: list[float | None]) -> list[dict[str, Any]]:
    """A sweep with one trial per number, complete with it, or still proposed for None; their assignments."""
    assignments = []
    with Journal(directory) as journal:
        journal.append(SweepStarted("earlier", "id", {"max_epochs": 1}, {}, {}, {}))
        for number, value in enumerate(si_rmse):
            assignment, candidate = space.draw(RandomSuggest(number))
            assignments.append(assignment)
            journal.append(
                TrialProposed(
                    number,
                    assignment,
                    candidate.model_dump(mode="json"),
                    candidate.hash,
                    candidate.architecture_hash,
                    "sampler",
                )
            )
            if value is None:
                continue
            score = final_score(value, 5.0)
            for event in (
                TrialAdmitted(number, 5.0, {}, {}),
                AttemptStarted(number, 1, 0, 1, None),
                EpochTrained(number, 1, 1, 0.5, value, score, 0.01, 1.0, "c"),
                AttemptEnded(number, 1, "reached"),
                TrialCompleted(number, {"si_rmse": value}, 5.0, score, {}, {}, {}, {}),
            ):
                journal.append(event)
    return assignments


def test_the_bundled_preset_holds_the_bundled_spaces_own_starts(tmp_path: Path) -> None:
    assert list(presets()) == ["mobilenetv3-baselines"]
    bundled = load_space("mobilenetv3")
    warm = first_trials(space_with(warm_start=[{"preset": "mobilenetv3-baselines"}]), tmp_path)
    assert [start.assignment for start in warm] == list(bundled.start_from)
    assert {start.origin for start in warm} == {"warm_start"}


def test_a_start_that_is_there_already_is_not_repeated(tmp_path: Path) -> None:
    own = first_trials(load_space("mobilenetv3"), tmp_path)
    document = yaml.safe_load(TEXT.replace("1e-", "1.0e-").replace("3e-", "3.0e-").replace("5e-", "5.0e-"))
    both = space_with(start_from=document["start_from"], warm_start=[{"preset": "mobilenetv3-baselines"}])
    assert first_trials(both, tmp_path) == own
    assert {start.origin for start in own} == {"start"}


def test_the_best_of_an_earlier_sweep_come_first(tmp_path: Path) -> None:
    space = space_with(warm_start=[{"sweep": "earlier", "top": 2}])
    assignments = earlier_sweep(tmp_path / "earlier", space, [0.5, None, 0.3, 0.4])
    starts = first_trials(space, tmp_path)
    assert [start.assignment for start in starts] == [assignments[2], assignments[3]]
    assert [trial.number for trial in winners(read_state(tmp_path / "earlier"), 9)] == [2, 3, 0]


def test_candidates_of_a_file_may_be_partial(tmp_path: Path) -> None:
    file = tmp_path / "known.yaml"
    file.write_text("candidates:\n- {recipe.batch_size: 16, recipe.learning_rate: 2e-3}\n")
    (start,) = first_trials(space_with(warm_start=[{"file": str(file)}]), tmp_path)
    assert start.assignment == {"recipe.batch_size": 16, "recipe.learning_rate": 0.002}


@pytest.mark.parametrize(
    ("source", "content", "message"),
    [
        (
            {"preset": "mobilenetv2"},
            "",
            'warm_start.0.preset: found "mobilenetv2"; allowed: mobilenetv3-base',
        ),
        ({"sweep": "none"}, "", "warm_start.0.sweep: found"),
        ({"file": "{file}"}, "candidates: []", "candidates: found []; allowed: a list of mappings"),
        ({"file": "{file}"}, "candidates: [3]", "candidates.0: found 3; allowed: a mapping"),
        ({"file": "{file}"}, "- a", "allowed: a mapping with candidates"),
        ({"file": "{file}"}, "trials: []", "trials: found an unknown key; allowed: candidates, description"),
        (
            {"file": "{file}"},
            "candidates: [{recipe.batch_size: 7}]",
            "warm_start.0.recipe.batch_size: found 7; allowed: 8, 16",
        ),
        ({"file": "/nowhere/x.yaml"}, "", 'warm_start.0.file: found "/nowhere/x.yaml" (No such file'),
    ],
)
def test_what_does_not_fit_is_named(
    tmp_path: Path, source: dict[str, str], content: str, message: str
) -> None:
    file = tmp_path / "known.yaml"
    file.write_text(content)
    source = {key: value.replace("{file}", str(file)) for key, value in source.items()}
    with pytest.raises(SpaceError) as caught:
        first_trials(space_with(warm_start=[source]), tmp_path)
    assert message in str(caught.value)


def test_a_sweep_without_results_warms_nothing(tmp_path: Path) -> None:
    space = space_with(warm_start=[{"sweep": "earlier"}])
    earlier_sweep(tmp_path / "earlier", space, [None])
    with pytest.raises(SpaceError, match="which has no complete trial; allowed: a sweep with results"):
        first_trials(space, tmp_path)
