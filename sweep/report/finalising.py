"""A finalising sweep: winners that were retrained with several seeds, and judged once on held-out data.

Validation and test stay apart: candidates are ordered by validation alone, and no figure joins the two.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, stdev

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from sweep.lifecycle import SweepState, Trial, TrialState
from sweep.lifecycle.events import Json
from sweep.report.facts import SweepFacts
from sweep.report.score_label import ScoreLabel
from sweep.report.text import count, latency, number


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation over ``seeds`` trainings; with fewer than two of them, no deviation."""

    mean: float
    deviation: float | None
    seeds: int


@dataclass(frozen=True)
class FinalSplit:
    """What one split says of a candidate, over the seeds that were judged on it."""

    si_rmse: Spread
    final_score: Spread


@dataclass(frozen=True)
class FinalCandidate:
    """One candidate, retrained with each of ``seeds`` as the trial at the same place in ``trials``.

    Attributes:
        complete: how many of the trials are.
        latency_ms: of the trained files; None while no trial is complete.
        validation: on the split that the search chose on; None while no trial is complete.
        test: on the held-out split; None while no trial was judged on it.
        test_frames: frames of the held-out split that have a score.
    """

    candidate_hash: str
    trials: tuple[int, ...]
    seeds: tuple[int | None, ...]
    complete: int
    latency_ms: Spread | None
    validation: FinalSplit | None
    test: FinalSplit | None
    test_frames: int | None

    @property
    def spoken_trials(self) -> str:
        """Such as ``trials 0, 2, 4``."""
        noun = "trial" if len(self.trials) == 1 else "trials"
        return f"{noun} {', '.join(map(str, self.trials))}"


def final_candidates(state: SweepState) -> tuple[FinalCandidate, ...]:
    """The candidates of a finalising sweep by their mean score on validation, unjudged ones last."""
    groups: dict[str, list[Trial]] = {}
    for trial in state.trials.values():
        groups.setdefault(trial.candidate_hash, []).append(trial)
    return tuple(sorted(map(_candidate, groups.values()), key=_sort_key))


def candidates_json(state: SweepState) -> list[dict[str, Json]]:
    """The candidates as plain data, best on validation first."""
    return [
        {**asdict(entry), "trials": list(entry.trials), "seeds": list(entry.seeds)}
        for entry in final_candidates(state)
    ]


def candidates_table(facts: SweepFacts, state: SweepState, gap: int) -> Iterator[RenderableType]:
    """A row per candidate, and on which data its figures are; at most 80 columns at a ``gap`` of 0."""
    entries = final_candidates(state)
    yield Text(f"Validation: {facts.data_statement}; the winners were chosen on it.")
    yield Text(f"Test: {_test_data(facts, entries)}")
    yield _table(entries, gap, facts.score)
    yield Text("mean +- standard deviation over seeds; in order of the validation score")
    yield from _missing(entries)
    yield Text("\nTheir trials, each judged on validation", style="bold")


def winner_lines(facts: SweepFacts, state: SweepState) -> Iterator[str]:
    """The best candidate on validation, and apart from that what the held-out split says of it."""
    best = next(iter(final_candidates(state)), None)
    if best is None or best.validation is None or best.latency_ms is None:
        return
    yield (
        f"Best on validation: {best.spoken_trials}, {facts.score.name} "
        f"{_scores(best.validation, facts.score)}: si-RMSE {_si_rmse(best.validation)} "
        f"at {latency(best.latency_ms.mean)} ms."
    )
    if best.test is None:
        yield "It was not judged on held-out data yet."
        return
    yield (
        f"On held-out test data ({facts.test_data}, {_frames(best.test_frames)}): {facts.score.name} "
        f"{_scores(best.test, facts.score)}, si-RMSE {_si_rmse(best.test)}."
    )
    yield "Figures are means +- standard deviations over seeds."


def _candidate(trials: Sequence[Trial]) -> FinalCandidate:
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    tested = [(trial, test) for trial in complete if (test := _test_of(trial)) is not None]
    return FinalCandidate(
        candidate_hash=trials[0].candidate_hash,
        trials=tuple(trial.number for trial in trials),
        seeds=tuple(trial.seed for trial in trials),
        complete=len(complete),
        latency_ms=_spread(trial.latency_ms for trial in complete),
        validation=_split(
            _spread(trial.completion.metrics["si_rmse"] for trial in complete if trial.completion),
            _spread(trial.final_score for trial in complete),
        ),
        test=_split(
            _spread(test["metrics"]["si_rmse"] for _, test in tested),
            _spread(float(test["final_score"]) for _, test in tested),
        ),
        test_frames=int(tested[0][1]["frames"]) if tested else None,
    )


def _test_of(trial: Trial) -> Mapping[str, Json] | None:
    return trial.completion.test if trial.completion else None


def _spread(values: Iterable[float | None]) -> Spread | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    return Spread(fmean(known), stdev(known) if len(known) > 1 else None, len(known))


def _split(si_rmse: Spread | None, final_score: Spread | None) -> FinalSplit | None:
    return None if si_rmse is None or final_score is None else FinalSplit(si_rmse, final_score)


def _sort_key(entry: FinalCandidate) -> tuple[float, int]:
    return (-entry.validation.final_score.mean if entry.validation else math.inf, entry.trials[0])


def _test_data(facts: SweepFacts, entries: Sequence[FinalCandidate]) -> str:
    frames = next((entry.test_frames for entry in entries if entry.test_frames is not None), None)
    judged = "not judged yet" if frames is None else _frames(frames)
    return f"{facts.test_data or 'unknown data'}, held out, so that no search reads it; {judged}."


def _frames(frames: int | None) -> str:
    return count(frames or 0, "frame")


def _table(entries: Sequence[FinalCandidate], gap: int, label: ScoreLabel) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, gap, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("trials", max_width=9)
    for name in ("validation\nsi-RMSE", "validation\nscore", "ms", "test\nsi-RMSE", "test\nscore"):
        table.add_column(name, no_wrap=True, justify="right")
    for place, entry in enumerate(entries):
        table.add_row(
            " ".join(map(str, entry.trials)),
            _si_rmse(entry.validation),
            _scores(entry.validation, label),
            latency(entry.latency_ms.mean if entry.latency_ms else None),
            _si_rmse(entry.test),
            _scores(entry.test, label),
            style="bold green" if place == 0 and entry.validation else None,
        )
    return table


def _si_rmse(split: FinalSplit | None) -> str:
    if split is None:
        return "-"
    deviation = split.si_rmse.deviation
    return number(split.si_rmse.mean, 4) + ("" if deviation is None else f" +-{number(deviation, 4)}")


def _scores(split: FinalSplit | None, label: ScoreLabel) -> str:
    if split is None:
        return "-"
    deviation = split.final_score.deviation
    spread = "" if deviation is None else f" +-{label.text(deviation)}"
    return label.text(split.final_score.mean) + spread


def _missing(entries: Sequence[FinalCandidate]) -> Iterator[RenderableType]:
    """Which means are of fewer trainings than there should be."""
    for entry in entries:
        tested = entry.test.si_rmse.seeds if entry.test else 0
        if tested < len(entry.trials):
            yield Text(f"{entry.spoken_trials}: {entry.complete} complete, {tested} judged on test")
