"""What can happen in a sweep: the journal's vocabulary.

Every event is a frozen record of plain data. The journal stores it as one JSON object; `to_json` and
`from_json` are strict inverses. Times are seconds since the epoch and are stamped by the journal, not here.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Json = Any
"""Nested plain data: None, bool, int, float, str, lists and string-keyed dictionaries of these."""


@dataclass(frozen=True)
class SweepStarted:
    """The first event; ``identity`` holds what scores depend on: space, target, data and full fidelity."""

    name: str
    sweep_id: str
    identity: Mapping[str, Json]
    space: Mapping[str, Json]
    settings: Mapping[str, Json]
    versions: Mapping[str, str]


@dataclass(frozen=True)
class SweepResumed:
    """A new run goes on from the journal; attempts that were under way are interrupted by this event."""

    settings: Mapping[str, Json]
    versions: Mapping[str, str]


@dataclass(frozen=True)
class SweepEnded:
    """The run ended by itself or was asked to: finished, out of time, or stopped."""

    reason: Literal["finished", "time", "stopped", "error"]
    detail: str = ""


@dataclass(frozen=True)
class TrialsAdded:
    """A person raised the number of candidates to try by ``trials``; ``request`` makes it count once."""

    trials: int
    request: str


@dataclass(frozen=True)
class TeacherAttemptStarted:
    """The sweep's teacher trains from ``from_epoch`` (epochs done) to ``epochs``, from ``checkpoint`` if any."""

    attempt: int
    from_epoch: int
    epochs: int
    checkpoint: str | None


@dataclass(frozen=True)
class TeacherEpochTrained:
    """One more epoch of the teacher is done and its checkpoint is on disk. ``si_rmse`` is the partial one."""

    attempt: int
    epoch: int
    train_loss: float
    si_rmse: float
    learning_rate: float
    seconds: float
    checkpoint: str


@dataclass(frozen=True)
class TeacherAttemptEnded:
    """How an attempt of the teacher ended before its last epoch; see `AttemptEnded`."""

    attempt: int
    outcome: Literal["interrupted", "lost", "crashed"]
    reason: str = ""


@dataclass(frozen=True)
class TeacherReady:
    """The teacher can teach: its weights are in ``checkpoint``, whose SHA-256 is ``sha256``.

    ``epochs`` is how long the sweep trained it, 0 if it was trained before. ``si_rmse`` is the partial one on the
    validation split. ``stands_for`` names what it is a substitute for, if it is one.
    """

    name: str
    candidate_hash: str
    epochs: int
    si_rmse: float
    checkpoint: str
    sha256: str
    stands_for: str | None = None


@dataclass(frozen=True)
class TrialProposed:
    """``assignment`` is what the proposer chose, parameter by parameter; ``candidate`` what it means.

    ``seed`` is the training's; None: the sweep's own choice.
    """

    trial: int
    assignment: Mapping[str, Json]
    candidate: Mapping[str, Json]
    candidate_hash: str
    architecture_hash: str
    origin: Literal["start", "warm_start", "sampler", "finalist"]
    seed: int | None = None


@dataclass(frozen=True)
class TrialAdmitted:
    """The file with untrained weights was exported and measured; the trial may be trained.

    ``shared_with`` is the trial of the same architecture whose measurement this is; None: its own. Of several
    files or settings, the figures are those of the fastest, and ``exports`` has all of them: see
    `sweep.lifecycle.exports`.
    """

    trial: int
    latency_ms: float
    measurement: Mapping[str, Json]
    export: Mapping[str, Json]
    shared_with: int | None = None
    exports: Sequence[Mapping[str, Json]] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "exports", tuple(self.exports))  # JSON knows lists only


@dataclass(frozen=True)
class AttemptStarted:
    """An attempt: training from ``from_epoch`` (epochs done) to ``to_epoch``, from ``checkpoint`` if any."""

    trial: int
    attempt: int
    from_epoch: int
    to_epoch: int
    checkpoint: str | None


@dataclass(frozen=True)
class PretrainedLoaded:
    """The first attempt began with weights from elsewhere; ``summary`` says from where, and what fitted."""

    trial: int
    summary: str


@dataclass(frozen=True)
class EpochTrained:
    """One more epoch is done and its checkpoint is on disk. ``si_rmse`` is the partial one."""

    trial: int
    attempt: int
    epoch: int
    train_loss: float
    si_rmse: float
    partial_score: float
    learning_rate: float
    seconds: float
    checkpoint: str


@dataclass(frozen=True)
class AttemptEnded:
    """How an attempt ended.

    ``reached``: at its last epoch. ``interrupted``: the sweep was stopped or died. ``lost``: its process or node
    went away without a word (preempted, killed, out of memory). ``crashed``: it raised ``reason``.
    """

    trial: int
    attempt: int
    outcome: Literal["reached", "interrupted", "lost", "crashed"]
    reason: str = ""


@dataclass(frozen=True)
class TrialCompleted:
    """The trained, exported file was judged and measured; all figures come from that file.

    Of several files or settings, it is the one with the best score on the validation split; ``exports`` has all
    of them: see `sweep.lifecycle.exports`.

    ``flags`` names what a person should know, such as ``latency_moved``. ``test`` holds the metrics on the
    held-out split, which only a finalising sweep reads.
    """

    trial: int
    metrics: Mapping[str, float]
    latency_ms: float
    final_score: float
    measurement: Mapping[str, Json]
    export: Mapping[str, Json]
    judgement: Mapping[str, Json]
    files: Mapping[str, str]
    flags: Sequence[str] = ()
    test: Mapping[str, Json] | None = None
    exports: Sequence[Mapping[str, Json]] = ()

    def __post_init__(self) -> None:
        for name in ("flags", "exports"):
            object.__setattr__(self, name, tuple(getattr(self, name)))  # JSON knows lists only


@dataclass(frozen=True)
class FinalistMeasured:
    """A complete trial's file was measured afresh, in turn with its rivals; rounds count from 1."""

    trial: int
    round: int
    latency_ms: float
    measurement: Mapping[str, Json]


@dataclass(frozen=True)
class TrialPruned:
    """A rule stopped the trial at ``epoch``, where its partial score was ``partial_score``."""

    trial: int
    epoch: int
    partial_score: float | None
    reason: str
    rule: Literal["rung", "extrapolation", "admission", "time"] = "rung"


@dataclass(frozen=True)
class TrialInfeasible:
    """The candidate cannot work on this target, or breaks a constraint; never to be tried again."""

    trial: int
    reason: str


@dataclass(frozen=True)
class TrialFailed:
    """Something broke: training diverged, or an error outlived its retries."""

    trial: int
    reason: str


@dataclass(frozen=True)
class FilesRemoved:
    """Checkpoints and files of a trial outside the best K were deleted to bound the disk."""

    trial: int


TrialEvent = (
    TrialProposed
    | TrialAdmitted
    | AttemptStarted
    | PretrainedLoaded
    | EpochTrained
    | AttemptEnded
    | TrialCompleted
    | FinalistMeasured
    | TrialPruned
    | TrialInfeasible
    | TrialFailed
    | FilesRemoved
)
TeacherEvent = TeacherAttemptStarted | TeacherEpochTrained | TeacherAttemptEnded | TeacherReady
SweepEvent = SweepStarted | SweepResumed | SweepEnded | TrialsAdded
Event = SweepEvent | TeacherEvent | TrialEvent

EVENT_TYPES: Mapping[str, type] = {
    cls.__name__: cls for cls in (*SweepEvent.__args__, *TeacherEvent.__args__, *TrialEvent.__args__)
}


def to_json(event: Event) -> dict[str, Json]:
    """The event's fields and its name under ``event``."""
    fields = {field.name: getattr(event, field.name) for field in dataclasses.fields(event)}
    return {"event": type(event).__name__, **fields}


def from_json(record: Mapping[str, Json]) -> Event:
    """The event of a record made by `to_json`.

    Raises:
        ValueError: unknown event name, or missing or unknown fields.
    """
    fields = dict(record)
    name = fields.pop("event", None)
    if not isinstance(name, str) or name not in EVENT_TYPES:
        raise ValueError(f"unknown event {name!r}; known: {', '.join(sorted(EVENT_TYPES))}")
    try:
        event: Event = EVENT_TYPES[name](**fields)
    except TypeError as error:
        raise ValueError(f"{name}: {error}") from None
    return event
