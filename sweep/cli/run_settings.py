"""From the options of ``sweep resume`` and ``finalize`` to typed settings."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweep.engine.checks import (
    MLFLOW_OPTION,
    OPTUNA_OPTION,
    checked_stores,
    existing_sweep,
    free_name,
)
from sweep.usage import UsageError

if TYPE_CHECKING:
    from sweep.engine.settings import RunSettings, Stores
    from sweep.lifecycle import Record
    from sweep.space import Space
    from sweep.space.document import Target


def chosen_target(runtime: str | None, threads: int | None, delegate: str | None) -> "Target | None":
    """The target that options name; None if there are none.

    Raises:
        UsageError: there is no such delegate.
    """
    from sweep.space.document import Target
    from sweep.space.exports import DELEGATES

    if runtime is None and threads is None and delegate is None:
        return None
    known = next((name for name in DELEGATES if name == (delegate or "xnnpack")), None)
    if known is None:
        raise UsageError(f"--delegate: found {delegate!r}; allowed: {', '.join(DELEGATES)}")
    return Target(runtime=runtime or "", threads=threads or 1, delegate=known)


def finalizing(
    name: str, runs: Path, top: int, epochs: int | None, seeds: int, asked: Mapping[str, Any]
) -> tuple["RunSettings", "Space"]:
    """Settings and space of the sweep that trains the winners of sweep ``name`` again."""
    from sweep.engine.own_code import find_score_again, own_packages
    from sweep.engine.settings import Compute, Finalizing, RunSettings, teacher_from_json
    from sweep.engine.starts import winners
    from sweep.lifecycle import read_journal, replay
    from sweep.search.ports import Start

    directory = existing_sweep(runs, name)
    records = read_journal(directory)
    state = replay((record.time, record.event) for record in records)
    find_score_again(state.started)
    best = winners(state, top)
    if state.started is None or not best:
        raise UsageError(f"sweep {name} has no complete trial that could be finalised")
    before = _last_settings(records)
    space = _space_of(state.started.space, before, state.max_epochs)
    starts = tuple(Start(dict(trial.assignment), "finalist", seed) for trial in best for seed in range(seeds))
    settings = RunSettings(
        name=free_name(runs, None, f"{name}-final"),
        runs=runs,
        space=Path(before["space"]),
        data=asked["data"] or before["data"],
        farm=asked["farm"] or before["farm"],
        trials=len(starts),
        time_s=asked["time_s"],
        seed=before["seed"],
        keep=len(starts),
        compute=replace(Compute(*asked["compute"]), own_packages=own_packages(space)),
        starts=starts,
        finalizing=Finalizing(name, state.started.sweep_id, len(best), seeds),
        teacher=teacher_from_json(before),
        stores=asked["stores"],
    )
    return settings, space.for_finalizing(len(starts), epochs or state.max_epochs)


def resumed(name: str, runs: Path, asked: Mapping[str, Any]) -> tuple["RunSettings", "Space"]:
    """Settings and space of a sweep that goes on; ``asked`` holds what this call changes, None for the rest."""
    from sweep.engine.own_code import own_packages
    from sweep.engine.settings import (
        Compute,
        RunSettings,
        finalizing_from_json,
        starts_from_json,
        teacher_from_json,
    )
    from sweep.lifecycle import Journal, read_journal, replay

    directory = existing_sweep(runs, name)
    Journal(directory).close()  # says at once, rather than after Ray's start, that the sweep is running
    records = read_journal(directory)
    state = replay((record.time, record.event) for record in records)
    if state.started is None:
        raise UsageError(f"sweep {name} never started; run it again")
    before = _last_settings(records)
    space = _space_of(state.started.space, before, state.max_epochs)
    stored = Compute(**{**asdict(Compute()), **before["compute"], "own_packages": own_packages(space)})
    compute = replace(stored, **{key: asked[key] for key in asdict(stored) if asked.get(key) is not None})
    finalised = finalizing_from_json(before)
    settings = RunSettings(
        name=name,
        runs=runs,
        space=Path(before["space"]),
        data=before["data"],
        farm=asked["farm"] or before["farm"],
        trials=asked["trials"] or before["trials"] + state.trials_added,
        time_s=asked["time_s"] or before["time_s"],
        seed=before["seed"],
        keep=before["keep"],
        compute=compute,
        starts=starts_from_json(before),
        teacher=teacher_from_json(before),
        finalizing=finalised,
        stores=_remembered(runs, asked["stores"], before.get("stores") or {}),
    )
    return settings, space.for_finalizing(settings.trials, state.max_epochs) if finalised else space


def _last_settings(records: "Sequence[Record]") -> Mapping[str, Any]:
    from sweep.lifecycle.events import SweepResumed, SweepStarted

    return next(
        record.event.settings
        for record in reversed(records)
        if isinstance(record.event, SweepStarted | SweepResumed)
    )


def _remembered(runs: Path, given: "Stores", before: Mapping[str, str | None]) -> "Stores":
    """The stores given now, else those of before.

    Raises:
        UsageError: a password that was not kept is needed.
    """
    from sweep.tracking.addresses import remembered

    try:
        return checked_stores(
            runs,
            remembered(given.mlflow_uri, before.get("mlflow_uri"), MLFLOW_OPTION),
            given.mlflow_artifacts or before.get("mlflow_artifacts"),
            remembered(given.optuna_storage, before.get("optuna_storage"), OPTUNA_OPTION),
        )
    except ValueError as error:
        raise UsageError(str(error)) from None


def _space_of(stored: Mapping[str, Any], settings: Mapping[str, Any], max_epochs: int) -> "Space":
    """The space as the sweep keeps it; its own parts are looked for where they were found."""
    from sweep.engine.own_code import folders_for, make_importable
    from sweep.space import parse_space

    packages = settings["compute"].get("own_packages", ())
    make_importable(folders_for(Path(settings["space"]), (Path(package).parent for package in packages)))
    return parse_space(stored["text"], stored["file"]).with_budget(max_epochs=max_epochs)
