"""What a person sees of a run: the live view while it lasts, the leaderboard and the summary at its end."""

import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console

from sweep.engine.run import Outcome
from sweep.judging.baselines import Baselines
from sweep.lifecycle import Record, SweepState
from sweep.lifecycle.events import SweepResumed, SweepStarted
from sweep.report.facts import facts_of
from sweep.report.leaderboard import leaderboard_table
from sweep.report.live import LiveView
from sweep.report.summary import BaselineFigures, TimeAccount, summary

TICK_S = 10.0

SHOWN_TRIALS = 30
"""Trials in the leaderboard at a run's end; `sweep leaderboard` shows all of them."""


class RunView:
    """A ledger's observer that shows the sweep on a console; the view opens with the run's first record."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started_at = time.time()
        self._live: LiveView | None = None
        self._closed = threading.Event()
        self._ticker = threading.Thread(target=self._tick, name="view", daemon=True)

    def __call__(self, state: SweepState, record: Record) -> None:
        """Show one more record."""
        if isinstance(record.event, SweepStarted | SweepResumed) and state.started is not None:
            facts = facts_of(state.started, record.event.settings)
            self._live = LiveView(self._console, facts, started_at=self._started_at, state=state)
        if self._live is not None:
            self._live.update(state, record)

    def __enter__(self) -> Self:
        self._ticker.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closed.set()
        if self._live is not None:
            self._live.close()

    def print_results(self, outcome: Outcome, directory: Path, wall_s: float) -> None:
        """Print the leaderboard and the summary."""
        self._console.print()
        table = leaderboard_table(outcome.state, width=self._console.width, limit=SHOWN_TRIALS)
        self._console.print(table)
        text = summary(
            outcome.state,
            directory=str(directory),
            baselines=_baseline_figures(outcome.baselines),
            time=_account(outcome, wall_s),
        )
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
        for name in outcome.incomplete:
            note = f"{name} lacks the latest; `sweep resume {directory.name}` brings it up to date."
            self._console.print(note, markup=False, highlight=False)

    def _tick(self) -> None:
        while not self._closed.wait(TICK_S):
            if self._live is not None:
                self._live.tick()


def _baseline_figures(found: Baselines | None) -> BaselineFigures | None:
    return BaselineFigures(found.constant.si_rmse, found.mean_map.si_rmse) if found else None


def _account(outcome: Outcome, wall_s: float) -> TimeAccount:
    training = sum(record.seconds for trial in outcome.state.trials.values() for record in trial.epochs)
    timings = outcome.timings
    return TimeAccount(
        wall_s=wall_s,
        steps={"training": training},
        libraries={"Ray": timings.ray, "sampler": timings.optuna, **timings.projections},
        own_s=timings.deciding,
    )
