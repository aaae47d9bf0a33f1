"""A sweep's first trials: the space's own, and those of its warm start (presets, earlier sweeps, files)."""

from collections.abc import Iterable, Mapping
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from sweep.judging.own_score import recorded_score
from sweep.lifecycle import JournalError, SweepState, Trial, read_state
from sweep.search.finalists import standing
from sweep.search.ports import Start
from sweep.space import Problem, Space, SpaceError
from sweep.space.bundled import bundled_folder
from sweep.space.candidate_file import CandidateFile
from sweep.space.load import load_candidate_files
from sweep.space.problems import one_of, show
from sweep.space.strict_yaml import read_yaml
from sweep.space.warm_start import FromCandidates, FromFile, FromPreset, FromSweep

Source = FromPreset | FromSweep | FromFile | FromCandidates

_PRESETS = "presets"


def first_trials(space: Space, runs: Path) -> tuple[Start, ...]:
    """The candidates to try before the sampler's, in the order of the file; equal ones once.

    Args:
        space: says from where.
        runs: the folder of all sweeps.

    Raises:
        SpaceError: a source does not exist, cannot be read, or holds what is no candidate of ``space``.
    """
    starts = [Start(assignment, "start") for assignment in space.start_from]
    for index, source in enumerate(space.document.warm_start):
        where = f"warm_start.{index}"
        for assignment in _read(source, space, where, runs):
            fitting = space.fitted(assignment, where)
            if all(start.assignment != fitting for start in starts):
                starts.append(Start(fitting, "warm_start"))
    return tuple(starts)


def winners(state: SweepState, top: int) -> tuple[Trial, ...]:
    """The best ``top`` complete trials by the sweep's own score, one per candidate, the best first.

    Raises:
        ScoreError: it is the score of another package, which cannot be loaded here.
    """
    best: dict[str, Trial] = {}
    for trial in standing(state, recorded_score(state.started.identity if state.started else {})):
        best.setdefault(trial.candidate_hash, trial)
    return tuple(best.values())[:top]


def presets() -> Mapping[str, Traversable]:
    """The presets that come with the package, by name."""
    files = sorted((bundled_folder() / _PRESETS).iterdir(), key=lambda file: file.name)
    return {file.name.removesuffix(".yaml"): file for file in files if file.name.endswith(".yaml")}


def _read(source: Source, space: Space, where: str, runs: Path) -> Iterable[Mapping[str, Any]]:
    file = space.file
    match source:
        case FromPreset(preset=name):
            known = presets()
            if name not in known:
                raise SpaceError([Problem(file, f"{where}.preset", show(name), one_of(known, name))])
            return _entries(known[name].read_bytes(), f"preset {name}")
        case FromFile(file=path):
            try:
                return _entries(Path(path).read_bytes(), path)
            except OSError as error:
                found = f"{show(path)} ({error.strerror})"
                raise SpaceError([Problem(file, f"{where}.file", found, "a file that can be read")]) from None
        case FromSweep(sweep=name, top=top):
            return _of_sweep(runs / name, top, file, where)
        case FromCandidates(candidates=path):
            return _of_candidates(load_candidate_files(path), space, f"{where}.candidates")


def _of_candidates(candidates: Iterable[CandidateFile], space: Space, where: str) -> list[Mapping[str, Any]]:
    """The assignments that spell the candidates in ``space``."""
    found: list[Mapping[str, Any]] = []
    problems: list[Problem] = []
    for given in candidates:
        try:
            found.append(space.assignment_of(given.candidate))
        except SpaceError as error:
            problems += [
                Problem(space.file, f"{where} ({given.file}): {p.key_path}", p.found, p.allowed)
                for p in error.problems
            ]
    if problems:
        raise SpaceError(problems)
    return found


def _of_sweep(directory: Path, top: int, file: str, where: str) -> list[Mapping[str, Any]]:
    try:
        best = winners(read_state(directory), top)
    except JournalError as error:
        raise SpaceError([Problem(file, f"{where}.sweep", str(error), "a sweep")]) from None
    if not best:
        found = f"{show(directory.name)}, which has no complete trial"
        raise SpaceError([Problem(file, f"{where}.sweep", found, "a sweep with results")])
    return [trial.assignment for trial in best]


def _entries(content: bytes, file: str) -> list[Mapping[str, Any]]:
    """The assignments in a YAML file of the form ``candidates: [{parameter: value, ...}, ...]``."""
    data = read_yaml(content, file, keys="candidates")
    unknown = [key for key in data if key not in ("candidates", "description")]
    if unknown:
        raise SpaceError([Problem(file, unknown[0], "an unknown key", "candidates, description")])
    entries = data.get("candidates")
    if not isinstance(entries, list) or not entries:
        allowed = "a list of mappings from parameters to values"
        raise SpaceError([Problem(file, "candidates", show(entries), allowed)])
    for index, entry in enumerate(entries):
        if not isinstance(entry, Mapping):
            allowed = "a mapping from parameters to values"
            raise SpaceError([Problem(file, f"candidates.{index}", show(entry), allowed)])
    return entries
