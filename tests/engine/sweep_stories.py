"""What a sweep is remembered by, and what must be true of every sweep's journal."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from simulated_sweep import MAX_EPOCHS, Configuration, World
from simulated_work import Mishaps

from sweep.engine.garbage import garbage_of
from sweep.engine.teaching import wants_teacher
from sweep.hashing import sha256_of
from sweep.lifecycle import Event, SweepState, TrialState, read_journal
from sweep.lifecycle.events import (
    AttemptStarted,
    EpochTrained,
    FilesRemoved,
    FinalistMeasured,
    TeacherEpochTrained,
    TeacherReady,
    TrialAdmitted,
    TrialCompleted,
    TrialProposed,
    TrialsAdded,
)
from sweep.search import AdmissionPolicy, RungPolicy, Start
from sweep.space.constraint import parse_constraint
from sweep.space.exports import choices
from sweep.space.samplers import CompositeSampler, NSGA2Sampler, RandomSampler

MIXED = Mishaps(infeasible=0.25, lost=0.3, crashes=0.3, diverges=0.25)
_ASSIGNMENT = {
    "architecture.input.resize": "bilinear",
    "architecture.encoder.width": 0.25,
    "architecture.encoder.stem_activation": "relu",
    "architecture.encoder.stage1.expansion": 1,
    "architecture.decoder": "add",
    "recipe.learning_rate": 2e-3,
}

CONFIGURATIONS: Mapping[str, Configuration] = {
    "everything that can go wrong": Configuration(mishaps=MIXED, finalist_rounds=3),
    "what goes wrong every time": Configuration(mishaps=Mishaps(lost=0.2, crashes=0.2, always=True)),
    "admission by score": Configuration(
        trials=10, rungs=RungPolicy((2,), 2, 3), admission=AdmissionPolicy(risk=0.2)
    ),
    "constraints": Configuration(
        admission=AdmissionPolicy((parse_constraint("latency_ms <= 7"), parse_constraint("size_mb <= 3.5")))
    ),
    "extrapolation": Configuration(
        trials=12, rungs=RungPolicy((4,), 2, 3), admission=AdmissionPolicy(extrapolation_risk=0.2)
    ),
    "hyperband": Configuration(trials=10, rungs=RungPolicy((1, 3, MAX_EPOCHS), 2, 2, hyperband=True)),
    "composite": Configuration(
        CompositeSampler(kind="composite", startup_trials=3, pool=20), mishaps=Mishaps(infeasible=0.15)
    ),
    "nsga2": Configuration(NSGA2Sampler(kind="nsga2", population=3)),
    "random": Configuration(RandomSampler(kind="random"), keep=1),
    "several files and settings": Configuration(
        exports=choices(("fp32", "int8"), (1, 4), ("xnnpack",)),
        admission=AdmissionPolicy((parse_constraint("size_mb <= 3.5"),)),
        mishaps=Mishaps(infeasible=0.1, lost=0.2),
        finalist_rounds=3,
    ),
    "a teacher trained first": Configuration(teacher="trained", mishaps=MIXED),
    "a teacher trained before": Configuration(teacher="adopted", trials=4),
    "a person asks": Configuration(trials=4, asks={2: 2, 3: 0, 5: 1}),
    "finalising": Configuration(
        trials=4,
        rungs=RungPolicy((4,), 2, 4),
        keep=4,
        finalizing=True,
        starts=tuple(
            Start({**_ASSIGNMENT, "recipe.learning_rate": rate}, "finalist", seed)
            for rate in (2e-3, 5e-3)
            for seed in (0, 1)
        ),
        finalist_rounds=3,
    ),
}


def story(state: SweepState) -> list[dict[str, Any]]:
    """What became of each trial, without what depends on when it happened or how often it was interrupted.

    The teacher comes first, if there is one.
    """
    teacher = [] if state.teacher is None else [{"teacher": state.teacher.ready}]
    return teacher + [
        {
            "trial": trial.number,
            "assignment": trial.assignment,
            "candidate": trial.candidate_hash,
            "origin": trial.origin,
            "seed": trial.seed,
            "state": trial.state,
            "pruned by": trial.pruned_by,
            "reason": trial.reason,
            "crashes": trial.crashes,
            "epochs": [(record.epoch, record.si_rmse, record.score) for record in trial.epochs],
            "admission": (trial.admission_latency_ms, trial.admission_shared_with, trial.admission_exports),
            "completion": trial.completion,
            "finals": [final.latency_ms for final in trial.finals],
            "files": trial.has_files,
        }
        for trial in state.trials.values()
    ]


def check_journal(world: World) -> None:
    """Nothing was lost, nothing done twice, and the disk holds what the journal says."""
    events = [record.event for record in read_journal(world.directory)]
    state = world.state
    assert list(state.trials) == list(range(len(state.trials)))
    assert all(trial.state.is_final for trial in state.trials.values())
    once: list[Counter[Any]] = [
        Counter(event.trial for event in events if isinstance(event, TrialProposed)),
        Counter((event.trial, event.epoch) for event in events if isinstance(event, EpochTrained)),
        Counter(event.trial for event in events if isinstance(event, TrialAdmitted)),
        Counter(event.trial for event in events if isinstance(event, TrialCompleted)),
        Counter(event.trial for event in events if isinstance(event, FilesRemoved)),
        Counter(event.request for event in events if isinstance(event, TrialsAdded)),
        Counter(own_measurements(events, state)),
    ]
    check_teacher(world, events, state)
    if not world.configuration.finalizing:
        once.append(Counter(trial.candidate_hash for trial in state.trials.values()))
    assert all(set(counted.values()) <= {1} for counted in once), once
    starts = [event for event in events if isinstance(event, AttemptStarted)]
    assert all((event.from_epoch == 0) == (event.checkpoint is None) for event in starts)
    check_files(world, state)


def check_teacher(world: World, events: list[Event], state: SweepState) -> None:
    """It was trained once, and was ready before any trial trained; whoever looks finds what it was."""
    kinds = [type(event) for event in events]
    if world.configuration.teacher is None:
        assert state.teacher is None
        return
    assert state.teacher is not None
    assert state.teacher.ready is not None
    assert kinds.count(TeacherReady) == 1
    assert AttemptStarted not in kinds[: kinds.index(TeacherReady)]
    epochs = [event.epoch for event in events if isinstance(event, TeacherEpochTrained)]
    assert epochs == list(range(1, state.teacher.epochs + 1))
    path = world.directory / state.teacher.ready.checkpoint
    assert sha256_of(path) == state.teacher.ready.sha256
    assert path not in {found.path for found in garbage_of(world.directory)}
    wanting = [trial for trial in state.trials.values() if wants_teacher(trial.candidate)]
    assert 0 < len(wanting) < len(state.trials)


def own_measurements(events: list[Event], state: SweepState) -> list[str]:
    """The architecture of each admission measurement that was not shared."""
    return [
        state.trials[event.trial].architecture_hash
        for event in events
        if isinstance(event, TrialAdmitted) and event.shared_with is None
    ]


def check_files(world: World, state: SweepState) -> None:
    """Files of complete trials that the journal keeps are there; anything else is known as garbage."""
    for trial in state.in_state(TrialState.COMPLETE):
        assert trial.completion is not None
        if trial.has_files:
            paths = [world.directory / path for path in trial.completion.files.values()]
            assert all(path.is_file() for path in paths)
    garbage = {found.path for found in garbage_of(world.directory)}
    requests = world.directory / "requests"
    assert not requests.exists() or all(path in garbage for path in requests.iterdir())
    for folder in (world.directory / "trials").iterdir():
        assert state.trials[int(folder.name)].has_files or folder in garbage


def finalist_rounds(events: list[Event]) -> list[int]:
    """The trials measured as finalists, in order."""
    return [event.trial for event in events if isinstance(event, FinalistMeasured)]
