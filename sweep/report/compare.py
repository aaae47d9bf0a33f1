"""Two sweeps side by side: what differs, which was better, and at what cost; `compare_view` shows it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Final

from sweep.judging.score import FinalScore, Score
from sweep.lifecycle import Record, SweepState, Trial, TrialState
from sweep.lifecycle.events import EpochTrained, Json, TrialCompleted
from sweep.report.exports import export_label
from sweep.report.history import SweepHistory, history_of
from sweep.report.rows import scoring_of
from sweep.report.score_label import CHALLENGE, ScoreLabel, label_in, label_of
from sweep.space.exports import ExportChoices, choices_from_json

SHARES: Final = (0.25, 0.5, 0.75, 1.0)
TOP: Final = 5

_KNOWN_KEYS: Final = frozenset(
    {"space", "space_hash", "data", "data_fingerprint", "target", "export", "latency", "max_epochs", "score"}
)
_TARGET_KEYS: Final = ("device_class", "emulated", "runtime", "labels")


@dataclass(frozen=True)
class Difference:
    """One part of the identity, as each sweep has it; scores compare only where target, data and latency agree."""

    what: str
    first: str
    second: str
    differs: bool
    decides: bool


@dataclass(frozen=True)
class Finalist:
    """A complete trial; ``score_interval``: what its latency's 95 % interval makes of the score, or None.

    ``export`` says which of several files and settings it is; empty: there is but one to ask for.
    """

    trial: int
    final_score: float
    score_interval: tuple[float, float] | None
    si_rmse: float
    latency_ms: float
    candidate_hash: str
    architecture_hash: str
    export: str = ""


@dataclass(frozen=True)
class Side:
    """One of the two sweeps; scores are those of exported files.

    Attributes:
        counts: trials by state, every state named.
        epochs: trained by all trials together, in ``training_s`` seconds of one attempt's GPU (or CPUs).
        top: the best complete trials, best first.
        score: how what the sweep maximises is called.
    """

    name: str
    counts: Mapping[str, int]
    epochs: int
    training_s: float
    top: tuple[Finalist, ...]
    score: ScoreLabel = CHALLENGE

    @property
    def best(self) -> float | None:
        """The highest score."""
        return self.top[0].final_score if self.top else None


@dataclass(frozen=True)
class Milestone:
    """The best score of each sweep once ``training_s`` seconds of training were spent; None: none yet."""

    share: float
    training_s: float
    first: float | None
    second: float | None


@dataclass(frozen=True)
class CommonNetwork:
    """An architecture that both sweeps measured before training."""

    architecture_hash: str
    first_trial: int
    second_trial: int
    first_ms: float
    second_ms: float
    intervals_overlap: bool | None

    @property
    def ratio(self) -> float:
        """The second sweep's latency in units of the first's."""
        return self.second_ms / self.first_ms


@dataclass(frozen=True)
class Comparison:
    """Everything that `compare` found.

    Attributes:
        comparable: target, data and kind of latency agree, so scores may be held against each other.
        milestones: at quarters of the smaller of the two spendings.
        common: the architectures that both measured, by the first sweep's trial numbers.
    """

    identity: tuple[Difference, ...]
    comparable: bool
    first: Side
    second: Side
    milestones: tuple[Milestone, ...]
    common: tuple[CommonNetwork, ...]

    @property
    def score(self) -> ScoreLabel:
        """How what both maximise is called; sweeps with different scores do not compare."""
        return self.first.score

    @property
    def better(self) -> str | None:
        """The name of the sweep with the higher best score; None if they do not compare or neither is ahead."""
        first, second = self.first.best, self.second.best
        if not self.comparable or first == second:
            return None
        ahead = second is None or (first is not None and first > second)
        return self.first.name if ahead else self.second.name

    @property
    def tie(self) -> bool:
        """The intervals of the two best scores have a point in common, so that either may be ahead."""
        if not (self.comparable and self.first.top and self.second.top):
            return False
        intervals = [side.top[0].score_interval for side in (self.first, self.second)]
        return _overlap(intervals[0], intervals[1]) is True

    @property
    def median_ratio(self) -> float | None:
        """The median of the common networks' latency ratios; None without any."""
        return median(network.ratio for network in self.common) if self.common else None


def compare(first: tuple[str, Sequence[Record]], second: tuple[str, Sequence[Record]]) -> Comparison:
    """Compare two sweeps, each a name and its journal's records.

    Raises:
        ValueError: one of them has not started.
        IllegalEvent: one of the journals cannot be.
    """
    histories = [history_of(records) for _, records in (first, second)]
    for (name, _), history in zip((first, second), histories, strict=True):
        if history.state.started is None:
            raise ValueError(f"sweep {name} never started: there is nothing to compare")
    sides = [_side(name, history) for (name, _), history in zip((first, second), histories, strict=True)]
    identity = _identity(*(_identity_of(history.state) for history in histories))
    curves = [
        _curve(records, history.state)
        for (_, records), history in zip((first, second), histories, strict=True)
    ]
    return Comparison(
        identity=identity,
        comparable=not any(part.differs and part.decides for part in identity),
        first=sides[0],
        second=sides[1],
        milestones=_milestones(curves[0], curves[1], min(side.training_s for side in sides)),
        common=_common(histories[0].state, histories[1].state),
    )


def comparison_json(comparison: Comparison) -> dict[str, Json]:
    """The comparison as plain data.

    Keys: ``comparable``; ``better``, a name or null; ``tie``, whether the intervals of the two best overlap;
    ``identity``, a list of ``what``, ``first``, ``second``,
    ``differs`` and ``decides`` (whether scores compare depends on it); ``first`` and ``second``, the sides with
    ``name``, ``best``, ``counts``, ``epochs``, ``training_s`` and the list ``top``; ``milestones``, a list of
    ``share``, ``training_s``, ``first`` and ``second``; ``common``, the networks that both measured, with
    ``ratio``; ``median_ratio``, theirs or null. A side whose score is not the challenge's has the
    name of it as ``score``.
    """
    return {
        "comparable": comparison.comparable,
        "better": comparison.better,
        "tie": comparison.tie,
        "identity": [asdict(part) for part in comparison.identity],
        "first": _side_json(comparison.first),
        "second": _side_json(comparison.second),
        "milestones": [asdict(milestone) for milestone in comparison.milestones],
        "common": [{**asdict(network), "ratio": network.ratio} for network in comparison.common],
        "median_ratio": comparison.median_ratio,
    }


def _side_json(side: Side) -> dict[str, Json]:
    plain = {key: value for key, value in asdict(side).items() if key != "score"}
    return {**plain, "best": side.best, **({"score": side.score.name} if side.score.is_own else {})}


def _identity_of(state: SweepState) -> Mapping[str, Json]:
    return state.started.identity if state.started else {}


def _identity(first: Mapping[str, Json], second: Mapping[str, Json]) -> tuple[Difference, ...]:
    return (
        _difference(
            "space", _named(first, "space", "space_hash"), _named(second, "space", "space_hash"), False
        ),
        _difference(
            "data",
            _named(first, "data", "data_fingerprint"),
            _named(second, "data", "data_fingerprint"),
            True,
        ),
        *(
            _difference(key.replace("_", " "), _target(first, key), _target(second, key), True)
            for key in _TARGET_KEYS
        ),
        *_exports(choices_from_json(first), choices_from_json(second)),
        *_scores(first, second),
        _difference("latency", first.get("latency", "measured"), second.get("latency", "measured"), True),
        _difference("epochs", first.get("max_epochs"), second.get("max_epochs"), False),
        *(
            _difference(key.replace("_", " "), first.get(key), second.get(key), False)
            for key in sorted({*first, *second} - _KNOWN_KEYS)
        ),
    )


def _exports(first: ExportChoices, second: ExportChoices) -> Iterator[Difference]:
    """Settings belong to the target; the files are what is searched, as the space is."""
    yield _difference("threads", _list(first.threads), _list(second.threads), True)
    yield _difference("delegate", _list(first.delegates), _list(second.delegates), True)
    if not (first.is_plain and second.is_plain):
        yield _difference("variants", _list(first.variants), _list(second.variants), False)
        own = "the candidate's"
        yield _difference(
            "output upsampling",
            _list(first.output_upsampling) or own,
            _list(second.output_upsampling) or own,
            False,
        )


def _scores(first: Mapping[str, Json], second: Mapping[str, Json]) -> Iterator[Difference]:
    """Not worth a line where both maximise the challenge's."""
    if "score" in first or "score" in second:
        ours, theirs = (_score_name(identity) for identity in (first, second))
        yield _difference("score", ours, theirs, True)


def _score_name(identity: Mapping[str, Json]) -> str:
    own = identity.get("score")
    return label_of(identity).name + (f" ({own['class']})" if own else "")


def _list(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))


def _difference(what: str, first: Json, second: Json, decides: bool) -> Difference:
    return Difference(what, _text(first), _text(second), first != second, decides)


def _named(identity: Mapping[str, Json], name: str, fingerprint: str) -> Json:
    """The name with what tells it from others of that name."""
    found = identity.get(fingerprint)
    return f"{identity.get(name, 'unknown')}" + (f" ({found})" if found else "")


def _target(identity: Mapping[str, Json], key: str) -> Json:
    return (identity.get("target") or {}).get(key)


def _text(value: Json) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={item}" for key, item in sorted(value.items())) or "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value in (None, "") else str(value)


def _side(name: str, history: SweepHistory) -> Side:
    state = history.state
    trials = state.trials.values()
    counts = {kind.value: sum(trial.state is kind for trial in trials) for kind in TrialState}
    complete = sorted(_finalists(state), key=lambda found: (-found.final_score, found.trial))
    return Side(name, counts, history.epochs, history.training_s, tuple(complete[:TOP]), label_in(state))


def _finalists(state: SweepState) -> Iterable[Finalist]:
    scoring = scoring_of(state)
    for trial in state.in_state(TrialState.COMPLETE):
        if trial.completion is not None and trial.final_score is not None and trial.latency_ms is not None:
            yield Finalist(
                trial=trial.number,
                final_score=trial.final_score,
                score_interval=_score_interval(trial, scoring),
                si_rmse=trial.completion.metrics["si_rmse"],
                latency_ms=trial.latency_ms,
                candidate_hash=trial.candidate_hash,
                architecture_hash=trial.architecture_hash,
                export=export_label(trial.completion),
            )


def _score_interval(trial: Trial, scoring: Score) -> tuple[float, float] | None:
    """The scores at the interval's ends; the si-RMSE on given frames has no error.

    The Final Score is inversely proportional to the latency.
    """
    bounds = trial.completion.measurement.get("interval_ms") if trial.completion else None
    if bounds is None or trial.final_score is None or trial.latency_ms is None:
        return None
    if not isinstance(scoring, FinalScore):
        si_rmse = trial.completion.metrics["si_rmse"] if trial.completion else 0.0
        return scoring(si_rmse, bounds[1]), scoring(si_rmse, bounds[0])
    scale = trial.final_score * trial.latency_ms
    return scale / bounds[1], scale / bounds[0]


def _curve(records: Sequence[Record], state: SweepState) -> tuple[tuple[float, float], ...]:
    """Training seconds spent when a trial was completed, and its score as it is known today."""
    spent, curve = 0.0, []
    for record in records:
        match record.event:
            case EpochTrained(seconds=seconds):
                spent += seconds
            case TrialCompleted(trial=trial):
                curve.append((spent, state.trials[trial].final_score or 0.0))
    return tuple(curve)


def _milestones(
    first: Sequence[tuple[float, float]], second: Sequence[tuple[float, float]], training_s: float
) -> tuple[Milestone, ...]:
    return tuple(
        Milestone(
            share,
            share * training_s,
            _best_by(first, share * training_s),
            _best_by(second, share * training_s),
        )
        for share in SHARES
    )


def _best_by(curve: Sequence[tuple[float, float]], training_s: float) -> float | None:
    return max((score for spent, score in curve if spent <= training_s), default=None)


def _common(first: SweepState, second: SweepState) -> tuple[CommonNetwork, ...]:
    """None where the sweeps do not export alike: then a network's latencies are those of different files."""
    files = [choices_from_json(_identity_of(state)) for state in (first, second)]
    if len({(choices.variants, choices.output_upsampling) for choices in files}) > 1:
        return ()
    ours, theirs = _measured(first), _measured(second)
    return tuple(
        CommonNetwork(
            architecture_hash=architecture,
            first_trial=trial.number,
            second_trial=theirs[architecture].number,
            first_ms=trial.admission_latency_ms or 0.0,
            second_ms=theirs[architecture].admission_latency_ms or 0.0,
            intervals_overlap=_overlap(_interval(trial), _interval(theirs[architecture])),
        )
        for architecture, trial in ours.items()
        if architecture in theirs
    )


def _measured(state: SweepState) -> dict[str, Trial]:
    """By architecture, the first trial that was measured before training."""
    found: dict[str, Trial] = {}
    for trial in state.trials.values():
        if trial.admission_latency_ms is not None and trial.admission_shared_with is None:
            found.setdefault(trial.architecture_hash, trial)
    return found


def _interval(trial: Trial) -> Sequence[float] | None:
    return (trial.admission or {}).get("interval_ms")


def _overlap(first: Sequence[float] | None, second: Sequence[float] | None) -> bool | None:
    """Whether two intervals have a point in common; None if either is unknown."""
    if not first or not second:
        return None
    return first[0] <= second[1] and second[0] <= first[1]
