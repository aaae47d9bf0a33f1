"""How trials ended, told apart as a person wants to know it, and where the others are on their way."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Final

from sweep.lifecycle import SweepState, Trial, TrialState
from sweep.report.facts import SweepFacts


class Ending(StrEnum):
    """How a trial ended. Those that are not among `TRIED` cost no training and count apart."""

    COMPLETE = "complete"
    PRUNED = "pruned"
    INFEASIBLE = "infeasible"
    FAILED = "failed"
    HOPELESS = "stopped before training"
    BREAKS_CONSTRAINT = "breaking a constraint"


TRIED: Final = (Ending.COMPLETE, Ending.PRUNED, Ending.INFEASIBLE, Ending.FAILED)

_BY_STATE: Final[Mapping[TrialState, Ending]] = {
    TrialState.COMPLETE: Ending.COMPLETE,
    TrialState.PRUNED: Ending.PRUNED,
    TrialState.INFEASIBLE: Ending.INFEASIBLE,
    TrialState.FAILED: Ending.FAILED,
}
_PIPELINE: Final[Mapping[TrialState, str]] = {
    TrialState.PROPOSED: "with the farm",
    TrialState.ADMITTED: "ahead",
    TrialState.TRAINING: "training",
    TrialState.PAUSED: "paused",
    TrialState.TRAINED: "judging",
}


def ending_of(trial: Trial) -> Ending | None:
    """How ``trial`` ended; None while it is under way."""
    ending = _BY_STATE.get(trial.state)
    if ending is None or trial.was_tried:
        return ending
    return Ending.HOPELESS if ending is Ending.PRUNED else Ending.BREAKS_CONSTRAINT


def count_endings(trials: Iterable[Trial]) -> Mapping[Ending, int]:
    """How many of ``trials`` ended how; endings that did not occur are left out."""
    found = Counter(ending for trial in trials if (ending := ending_of(trial)) is not None)
    return {ending: found[ending] for ending in Ending if found[ending]}


def spoken_endings(counts: Mapping[Ending, int], among: Iterable[Ending] = Ending) -> str:
    """``2 complete, 1 pruned``: those of the endings ``among`` that occurred; empty if none did."""
    return ", ".join(f"{counts[ending]} {ending}" for ending in among if counts.get(ending))


def untrained_lines(counts: Mapping[Ending, int]) -> Iterator[str]:
    """What admission spared the training, a line for each reason that occurred."""
    if hopeless := counts.get(Ending.HOPELESS):
        yield f"{hopeless} stopped before training: cannot beat the best"
    if breaking := counts.get(Ending.BREAKS_CONSTRAINT):
        yield f"{breaking} infeasible: {'breaks' if breaking == 1 else 'break'} a constraint"


def spoken_pipeline(state: SweepState) -> str:
    """``2 with the farm, 1 ahead, 4 training, 3 paused, 0 judging``: the candidates under way, step by step.

    With the farm are those whose untrained file is exported and measured; ahead, those that wait for a trainer.
    """
    found = Counter(trial.state for trial in state.unfinished.values())
    return ", ".join(f"{found[step]} {words}" for step, words in _PIPELINE.items())


def trials_over(state: SweepState) -> int:
    """Trials that ended and count against the number of trials: without those that admission stopped."""
    return state.tried - len(state.unfinished)


def trials_wanted(facts: SweepFacts, state: SweepState) -> int | None:
    """The limit of trials, those that were added while it runs included; None: no limit."""
    return None if facts.trials is None else facts.trials + state.trials_added
