"""From the options of ``sweep run``, ``resume`` and ``finalize`` to typed settings."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweep.cli.arguments import existing_sweep, free_name
from sweep.cli.errors import UsageError

if TYPE_CHECKING:
    from sweep.engine.settings import RunSettings, Stores
    from sweep.lifecycle import Record
    from sweep.space import Space

MLFLOW_OPTION = "--mlflow-uri"
OPTUNA_OPTION = "--optuna-storage"


def checked_stores(
    runs: Path, mlflow_uri: str | None, artifacts: str | None, optuna_storage: str | None
) -> "Stores":
    """The stores' addresses; ``runs`` holds MLflow's store by default.

    Raises:
        UsageError: one is no address of a store, or both name one database.
    """
    from sweep.engine.files import Runs
    from sweep.engine.settings import Stores
    from sweep.tracking.addresses import check_apart, kind_of

    try:
        if mlflow_uri is not None:
            kind_of(mlflow_uri, MLFLOW_OPTION)
        if optuna_storage is not None:
            kind_of(optuna_storage, OPTUNA_OPTION, ("sqlite", "postgresql"))
            check_apart(mlflow_uri or Runs(runs).mlflow_uri, optuna_storage)
    except ValueError as error:
        raise UsageError(str(error)) from None
    return Stores(mlflow_uri, artifacts, optuna_storage)


def finalizing(
    name: str, runs: Path, top: int, epochs: int | None, seeds: int, asked: Mapping[str, Any]
) -> tuple["RunSettings", "Space"]:
    """Settings and space of the sweep that trains the winners of sweep ``name`` again."""
    from sweep.engine.settings import Compute, Finalizing, RunSettings
    from sweep.engine.starts import winners
    from sweep.lifecycle import read_journal, replay
    from sweep.search.ports import Start

    directory = existing_sweep(runs, name)
    records = read_journal(directory)
    state = replay((record.time, record.event) for record in records)
    best = winners(state, top)
    if state.started is None or not best:
        raise UsageError(f"sweep {name} has no complete trial that could be finalised")
    before = _last_settings(records)
    starts = tuple(Start(dict(trial.assignment), "finalist", seed) for trial in best for seed in range(seeds))
    settings = RunSettings(
        name=free_name(runs, None, f"{name}-final"),
        runs=runs,
        space=Path(before["space"]),
        data=asked["data"] or (Path(before["data"]) if before["data"] else None),
        farm=asked["farm"] or before["farm"],
        trials=len(starts),
        time_s=asked["time_s"],
        seed=before["seed"],
        keep=len(starts),
        compute=Compute(*asked["compute"]),
        starts=starts,
        finalizing=Finalizing(name, state.started.sweep_id, len(best), seeds),
        stores=asked["stores"],
    )
    space = _space_of(state.started.space, state.max_epochs)
    return settings, space.for_finalizing(len(starts), epochs or state.max_epochs)


def resumed(name: str, runs: Path, asked: Mapping[str, Any]) -> tuple["RunSettings", "Space"]:
    """Settings and space of a sweep that goes on; ``asked`` holds what this call changes, None for the rest."""
    from sweep.engine.settings import Compute, RunSettings, finalizing_from_json, starts_from_json
    from sweep.lifecycle import Journal, read_journal, replay

    directory = existing_sweep(runs, name)
    Journal(directory).close()  # says at once, rather than after Ray's start, that the sweep is running
    records = read_journal(directory)
    state = replay((record.time, record.event) for record in records)
    if state.started is None:
        raise UsageError(f"sweep {name} never started; run it again")
    before = _last_settings(records)
    stored = Compute(**{**asdict(Compute()), **before["compute"]})
    compute = replace(stored, **{key: asked[key] for key in asdict(stored) if asked.get(key) is not None})
    finalised = finalizing_from_json(before)
    settings = RunSettings(
        name=name,
        runs=runs,
        space=Path(before["space"]),
        data=Path(before["data"]) if before["data"] else None,
        farm=asked["farm"] or before["farm"],
        trials=asked["trials"] or before["trials"] + state.trials_added,
        time_s=asked["time_s"] or before["time_s"],
        seed=before["seed"],
        keep=before["keep"],
        compute=compute,
        starts=starts_from_json(before),
        finalizing=finalised,
        stores=_remembered(runs, asked["stores"], before.get("stores") or {}),
    )
    space = _space_of(state.started.space, state.max_epochs)
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


def _space_of(stored: Mapping[str, Any], max_epochs: int) -> "Space":
    from sweep.space import parse_space

    return parse_space(stored["text"], stored["file"]).with_budget(max_epochs=max_epochs)


def seconds(text: str | None) -> int | None:
    from sweep.space import parse_duration

    if text is None:
        return None
    try:
        return int(parse_duration(text))
    except ValueError as error:
        raise UsageError(f"--time: {error}") from None
