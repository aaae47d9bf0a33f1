"""A sweep that tests move on by hand, event by event."""

from pathlib import Path
from typing import Any

from simulated_sweep import SPACE
from simulated_work import write_whole

from sweep.engine.files import SweepFiles
from sweep.lifecycle import SweepState, Trial, fold
from sweep.lifecycle.events import (
    AttemptEnded,
    AttemptStarted,
    EpochTrained,
    SweepStarted,
    TrialAdmitted,
    TrialCompleted,
    TrialProposed,
)
from sweep.space import RandomSuggest

PROPOSED_AT = 100.0
MAX_EPOCHS = 2


class Sweep:
    """A sweep's state that tests move on by hand; thread-safe as the ledger's is."""

    def __init__(self) -> None:
        self.state = SweepState()
        self.events: list[Any] = []
        self.record(SweepStarted("s", "id", {"max_epochs": MAX_EPOCHS}, {}, {}, {}))

    def record(self, *events: Any) -> None:
        for event in events:
            self.events.append(event)
            self.state = fold(self.state, event, PROPOSED_AT)

    def propose(self, seed: int, learning_rate: float = 2e-3) -> Trial:
        """A trial whose architecture ``seed`` decides."""
        assignment = SPACE.sample(RandomSuggest(seed)) | {"recipe.learning_rate": learning_rate}
        candidate = SPACE.candidate(assignment)
        number = len(self.state.trials)
        self.record(
            TrialProposed(
                number,
                assignment,
                candidate.model_dump(mode="json"),
                candidate.hash,
                candidate.architecture_hash,
                "sampler",
            )
        )
        return self.state.trials[number]

    def trained(self, trial: Trial, admitted: TrialAdmitted, directory: Path) -> Trial:
        """The trial at full fidelity, its checkpoint on disk."""
        number = trial.number
        path = SweepFiles(directory).trial(number).checkpoints.of(MAX_EPOCHS)
        write_whole(path, {"candidate": trial.candidate_hash, "epoch": MAX_EPOCHS, "seed": 3})
        relative = str(path.relative_to(directory))
        self.record(admitted, AttemptStarted(number, 1, 0, MAX_EPOCHS, None))
        for epoch in (1, 2):
            self.record(EpochTrained(number, 1, epoch, 0.5, 0.3, 99.0, 0.1, 1.0, relative))
        self.record(AttemptEnded(number, 1, "reached"))
        return self.state.trials[number]


def complete_one(sweep: Sweep, directory: Path, score: float) -> None:
    """A trial that is complete, with this Final Score."""
    trial = sweep.propose(seed=100)
    sweep.trained(trial, TrialAdmitted(trial.number, 4.0, {}, {}), directory)
    sweep.record(TrialCompleted(trial.number, {"si_rmse": 0.3}, 4.0, score, {}, {}, {}, {}))
