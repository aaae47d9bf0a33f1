"""A trial's files at their settings, from the export to the choice between them: plain data, pure functions."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from device_farm.types import InfeasibleModel, Measurement
from sweep.judging.choice import best, fastest, may_be_fastest
from sweep.judging.judge import Judgement
from sweep.judging.metrics import NonFinitePrediction
from sweep.judging.score import FINAL_SCORE, Score
from sweep.lifecycle.exports import ExportRecord, labels
from sweep.space import InferenceSetting
from sweep.space.constraint import Constraint


@dataclass(frozen=True)
class ExportedFile:
    """A file of a trial, as a task exported it, or why there is none.

    Attributes:
        variant: its arithmetic; see `sweep.export.variants`.
        output_upsampling: its last resize.
        facts: what the export says of it, ``tflite``, ``onnx`` (paths) and ``size_bytes`` among them; empty if
            there is no file.
        reason: why it could not be exported, or cannot run on the target; empty: it can.
    """

    variant: str
    output_upsampling: str
    facts: Mapping[str, Any]
    reason: str = ""

    @property
    def name(self) -> str:
        """What tells it from the trial's other files."""
        return f"{self.variant}_{self.output_upsampling}"


@dataclass(frozen=True)
class Tried:
    """A file at a setting, and how far it got: judged, measured, or out of the question by ``failure``.

    ``scoring`` is what the sweep maximises.
    """

    file: ExportedFile
    setting: InferenceSetting
    judgement: Judgement | None = None
    measurement: Measurement | None = None
    failure: Exception | None = None
    scoring: Score = FINAL_SCORE

    @property
    def latency_ms(self) -> float | None:
        """The latency of what works and was measured."""
        return self.measurement.latency_ms if self.measurement and self.failure is None else None

    @property
    def interval_ms(self) -> tuple[float, float] | None:
        """The latency's interval; of a latency that drifted, which has none, the median twice."""
        if self.measurement is None or self.latency_ms is None:
            return None
        return self.measurement.interval_ms or (self.latency_ms, self.latency_ms)

    @property
    def size_mb(self) -> float | None:
        """The file's size in 10^6 bytes."""
        size = self.file.facts.get("size_bytes")
        return None if size is None else float(size) / 1e6

    @property
    def score(self) -> float | None:
        """The score of what works, was judged and was measured."""
        if self.judgement is None or self.latency_ms is None:
            return None
        return self.scoring(self.judgement.metrics.si_rmse, self.latency_ms)


def combinations(
    files: Iterable[ExportedFile], settings: Sequence[InferenceSetting], scoring: Score = FINAL_SCORE
) -> tuple[Tried, ...]:
    """Every file at every setting; files that cannot be used are out from the start."""
    return tuple(
        Tried(file, setting, failure=InfeasibleModel(file.reason) if file.reason else None, scoring=scoring)
        for file in files
        for setting in settings
    )


def contenders(tried: Sequence[Tried]) -> tuple[int, ...]:
    """The places of those that may be the fastest, as far as their intervals tell."""
    return may_be_fastest([entry.interval_ms for entry in tried])


def fastest_of(tried: Sequence[Tried], constraints: Sequence[Constraint]) -> int:
    """The place of the lowest latency among those that keep the constraints, if any does; else among all.

    Raises:
        InfeasibleModel: nothing was measured.
    """
    return _first(fastest, [entry.latency_ms for entry in tried], tried, constraints)


def best_of(tried: Sequence[Tried], constraints: Sequence[Constraint]) -> int:
    """The place of the best score among those that keep the constraints, if any does; else among all.

    Of equal scores the first counts.

    Raises:
        InfeasibleModel, NonFinitePrediction, RunnerError: nothing has a score.
    """
    return _first(best, [entry.score for entry in tried], tried, constraints)


def broken_constraint(entry: Tried, constraints: Iterable[Constraint]) -> str:
    """What constraint the file surely breaks at its setting, in words: a whole interval must lie beyond it."""
    figures = {"latency_ms": entry.interval_ms and entry.interval_ms[0], "size_mb": entry.size_mb}
    for constraint in constraints:
        figure = figures[constraint.metric]
        if figure is not None and constraint.violation(figure) > 0:
            return f"breaks {constraint}"
    return ""


def export_records(
    tried: Sequence[Tried],
    winner: int,
    constraints: Sequence[Constraint],
    relative: Callable[[Any], str],
) -> list[dict[str, Any]]:
    """What the journal holds of all of them; ``relative`` makes a path one that can move."""
    return [
        _record(entry, place == winner, broken_constraint(entry, constraints), relative).to_json()
        for place, entry in enumerate(tried)
    ]


def _record(entry: Tried, won: bool, broken: str, relative: Callable[[Any], str]) -> ExportRecord:
    failure = "" if entry.failure is None else one_line(entry.failure)
    facts, measured = entry.file.facts, entry.measurement
    return ExportRecord(
        variant=entry.file.variant,
        output_upsampling=entry.file.output_upsampling,
        threads=entry.setting.threads,
        delegate=entry.setting.delegate,
        won=won,
        reason="" if won else failure or broken,
        tflite=relative(facts["tflite"]) if facts else None,
        size_bytes=facts.get("size_bytes"),
        latency_ms=entry.latency_ms,
        interval_ms=measured.interval_ms if measured else None,
        final_score=entry.score,
        **(asdict(entry.judgement.metrics) if entry.judgement else {}),
    )


def _first(
    pick: Callable[[Sequence[float | None]], int | None],
    figures: Sequence[float | None],
    tried: Sequence[Tried],
    constraints: Sequence[Constraint],
) -> int:
    kept = [
        None if broken_constraint(entry, constraints) else figure
        for entry, figure in zip(tried, figures, strict=True)
    ]
    place = pick(kept)
    place = pick(figures) if place is None else place
    if place is None:
        raise _nothing_works(tried)
    return place


def _nothing_works(tried: Sequence[Tried]) -> Exception:
    """Why, as one error; training is to blame if a prediction is not a number, else the network."""
    failures = [entry.failure for entry in tried if entry.failure is not None]
    if len(failures) == 1:
        return failures[0]
    names = labels([_record(entry, False, "", str) for entry in tried])
    named: dict[str, list[str]] = {}
    for name, entry in zip(names, tried, strict=True):
        if entry.failure is not None:
            named.setdefault(one_line(entry.failure), []).append(name)
    reasons = "; ".join(f"{', '.join(who)}: {reason}" for reason, who in named.items())
    diverged = any(isinstance(failure, NonFinitePrediction) for failure in failures)
    kind: type[Exception] = NonFinitePrediction if diverged else InfeasibleModel
    return kind(reasons)


def one_line(error: Exception) -> str:
    """The error's own words on one line, without the Ray traceback around them."""
    return " ".join(str(cause(error)).split())[:2000]


def cause(error: Exception) -> Exception:
    """What a Ray task raised, out of the error that Ray wraps around it."""
    found: Exception = getattr(error, "cause", None) or error
    return found
