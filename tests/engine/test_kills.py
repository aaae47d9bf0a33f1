"""Kills and full disks at every durable step of whole sweeps: the story must be that of a sweep left in peace."""

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import cycle
from pathlib import Path

import pytest
from simulated_sweep import Death, FullDiskError, Killed, Moment, World
from sweep_stories import CONFIGURATIONS, check_journal, finalist_rounds, story

from sweep.lifecycle import SweepState, TrialState, read_journal, read_state
from sweep.lifecycle.events import TrialsAdded
from sweep.lifecycle.exports import records_of, winner_of

MOMENTS: tuple[Moment, ...] = ("before the write", "in the write", "after the write", "disk full")
FEW = 13
"""Of this many steps, the short tests kill one."""

every_configuration = pytest.mark.parametrize("name", CONFIGURATIONS)


@pytest.fixture
def disk() -> Iterator[Path]:
    """A folder in memory where there is such a thing: these tests sync to disk tens of thousands of times."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="depth-sweep-test-", dir=memory if memory.is_dir() else None))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def in_peace(disk: Path) -> Callable[[str], World]:
    def run(name: str) -> World:
        world = World(disk / "in peace", CONFIGURATIONS[name])
        world.run_to_the_end()
        return world

    return run


def run_into(world: World, death: Death) -> None:
    """Run until the death, or to the end if there are fewer steps."""
    with suppress(Killed, FullDiskError):
        world.run(death)


def interrupt_once(whole: World, deaths: Iterable[Death]) -> None:
    expected = story(whole.state)
    for death in deaths:
        world = World(whole.directory.with_name(f"step {death.appends}"), whole.configuration)
        run_into(world, death)
        world.run_to_the_end()
        assert story(world.state) == expected, death
        check_journal(world)
        shutil.rmtree(world.directory)


def steps_of(world: World) -> range:
    return range(len(read_journal(world.directory)))


@every_configuration
def test_a_sweep_left_in_peace_is_whole(in_peace: Callable[[str], World], name: str) -> None:
    check_journal(in_peace(name))


@every_configuration
def test_one_interruption_at_some_of_the_steps_changes_nothing(
    in_peace: Callable[[str], World], name: str
) -> None:
    whole = in_peace(name)
    few = 3 * FEW if name == "composite" else FEW  # whose models take a while
    interrupt_once(whole, map(Death, steps_of(whole)[::few], cycle(MOMENTS)))


@pytest.mark.long
@pytest.mark.timeout(1800)
@every_configuration
@pytest.mark.parametrize("moment", MOMENTS)
def test_one_interruption_at_any_step_changes_nothing(
    in_peace: Callable[[str], World], name: str, moment: Moment
) -> None:
    whole = in_peace(name)
    interrupt_once(whole, (Death(step, moment) for step in steps_of(whole)))


@every_configuration
def test_interruptions_all_along_neither_lose_nor_repeat_anything(
    disk: Path, in_peace: Callable[[str], World], name: str
) -> None:
    world = World(disk / "interrupted", CONFIGURATIONS[name])
    interruptions = 0
    while not (has_journal(world) and (ended := world.state.ended) and ended.reason == "finished"):
        run_into(world, Death(4, MOMENTS[interruptions % len(MOMENTS)]))
        interruptions += 1
    assert interruptions > 10
    assert story(world.state) == story(in_peace(name).state)
    check_journal(world)


def has_journal(world: World) -> bool:
    return (world.directory / "journal.jsonl").exists()


def test_the_configurations_do_what_their_names_say(in_peace: Callable[[str], World], disk: Path) -> None:
    def state_of(name: str) -> SweepState:
        shutil.rmtree(disk / "in peace", ignore_errors=True)
        return in_peace(name).state

    def ways_to_end(state: SweepState) -> set[str | None]:
        return {trial.pruned_by for trial in state.in_state(TrialState.PRUNED)}

    wrong = state_of("everything that can go wrong")
    assert {trial.state for trial in wrong.trials.values()} >= {TrialState.COMPLETE, TrialState.PRUNED}
    assert wrong.in_state(TrialState.INFEASIBLE, TrialState.FAILED)
    assert any(trial.crashes for trial in wrong.trials.values())
    assert len(set(finalist_rounds([record.event for record in read_journal(disk / "in peace")]))) == 3
    assert any(trial.admission_shared_with is not None for trial in wrong.trials.values())
    assert all(trial.reason for trial in state_of("what goes wrong every time").in_state(TrialState.FAILED))
    assert "admission" in ways_to_end(state_of("admission by score"))
    assert "extrapolation" in ways_to_end(state_of("extrapolation"))
    assert {t.reason.split()[1] for t in state_of("constraints").in_state(TrialState.INFEASIBLE)} == {
        "latency_ms",
        "size_mb",
    }
    several = state_of("several files and settings").in_state(TrialState.COMPLETE)
    winners = [winner_of(records_of(trial.completion.exports)) for trial in several if trial.completion]
    assert {winner.variant for winner in winners if winner} == {"fp32", "int8"}
    assert {winner.threads for winner in winners if winner} == {1, 4}
    assert any(trial.finals for trial in several)
    final = state_of("finalising")
    assert [(t.seed, bool(t.completion and t.completion.test)) for t in final.trials.values()] == [
        (0, True),
        (1, True),
    ] * 2


def test_wishes_for_more_trials_count_once_each(in_peace: Callable[[str], World]) -> None:
    world = in_peace("a person asks")
    events = [record.event for record in read_journal(world.directory)]
    assert [event.trials for event in events if isinstance(event, TrialsAdded)] == [2, 1]
    state = read_state(world.directory)
    assert state.tried == 4 + 2 + 1
    assert state.resumes == 1  # somebody stopped it once
