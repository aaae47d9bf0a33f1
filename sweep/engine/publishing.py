"""What happens behind a running sweep's back: its projections are told, and files outside the best K are removed.

Everything here follows the journal in threads of its own, so that neither a slow store nor a slow disk holds up
the search, nor one store another. A file is only removed after every projection has seen the event that made it
superfluous.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from sweep.engine.files import SweepFiles
from sweep.engine.ledger import Ledger, LedgerClosed
from sweep.lifecycle import Record, SweepState, Trial, TrialState
from sweep.lifecycle.events import FilesRemoved

RETRY_S = 15.0
"""Between attempts to open a store that did not answer."""

_log = logging.getLogger(__name__)

Change = tuple[SweepState, Record]
"""A record and the sweep's state after it."""


class Projection(Protocol):
    """A view of the sweep in a store of its own, such as MLflow's; used from one thread."""

    seconds: float
    """Time spent inside the store's library so far."""

    problem: str | None
    """Why something could not be sent and waits; None: the store has everything."""

    def catch_up(self, records: Sequence[Record]) -> None:
        """Bring the store to the state after ``records``, the journal from its start."""

    def apply_all(self, changes: Sequence[Change]) -> None:
        """Show what happened since."""

    def close(self) -> None:
        """Finish; what still waits is left to the next `catch_up`."""


class Publisher:
    """A ledger's observer that passes every record on to any number of projections, each in its own thread."""

    def __init__(
        self, make_projections: Mapping[str, Callable[[], Projection]], earlier: tuple[Record, ...]
    ) -> None:
        """Nothing is opened before `start`.

        Args:
            make_projections: by name, what opens each; called in its thread, again later if it raises.
            earlier: the records from before this run.
        """
        makers = make_projections or {"files": _Nowhere}  # so that files are removed all the same
        self._followers = {
            name: _Follower(name, make, earlier, self._worked_off) for name, make in makers.items()
        }
        self._housekeeping: Callable[[SweepState], None] = lambda _: None
        self._seen: dict[str, Change] = {}
        self._tidy_to = -1
        self._tidying = threading.Lock()

    @property
    def seconds(self) -> Mapping[str, float]:
        """Time spent inside each projection's library, by name; complete once closed."""
        return {name: follower.seconds for name, follower in self._followers.items()}

    def start(self, housekeeping: Callable[[SweepState], None]) -> None:
        """Begin to work; ``housekeeping`` runs with each state that every projection has worked off."""
        self._housekeeping = housekeeping
        for follower in self._followers.values():
            follower.start()

    def __call__(self, state: SweepState, record: Record) -> None:
        """Take note of a record."""
        for follower in self._followers.values():
            follower.put((state, record))

    def catch_up(self, timeout_s: float) -> None:
        """Wait, at most ``timeout_s``, until all records so far are worked off."""
        worked_off = [follower.mark() for follower in self._followers.values()]
        deadline = time.monotonic() + timeout_s
        for event in worked_off:
            event.wait(max(0.0, deadline - time.monotonic()))

    def close(self, timeout_s: float) -> tuple[str, ...]:
        """Work off what waits, at most ``timeout_s``.

        Returns:
            The names of the projections that lack something; `sweep resume` adds it.
        """
        for follower in self._followers.values():
            follower.put(None)
        deadline = time.monotonic() + timeout_s
        for follower in self._followers.values():
            follower.join(max(0.0, deadline - time.monotonic()))
        return tuple(name for name, follower in self._followers.items() if not follower.complete)

    def _worked_off(self, name: str, change: Change) -> None:
        """Called by each follower; housekeeping goes as far as the slowest of them."""
        with self._tidying:
            self._seen[name] = change
            if len(self._seen) < len(self._followers):
                return
            state, record = min(self._seen.values(), key=lambda seen: seen[1].sequence)
            if record.sequence > self._tidy_to:
                self._tidy_to = record.sequence
                self._housekeeping(state)


class _Follower:
    """One projection and its thread, which works off whatever waits in one go."""

    def __init__(
        self,
        name: str,
        make: Callable[[], Projection],
        earlier: tuple[Record, ...],
        worked_off: Callable[[str, Change], None],
    ) -> None:
        self._name = name
        self._make = make
        self._unseen: list[Record] = list(earlier)
        self._worked_off = worked_off
        self._queue: queue.Queue[Change | threading.Event | None] = queue.Queue()
        self._thread = threading.Thread(target=self._run, name=f"publisher of {name}", daemon=True)
        self._projection: Projection | None = None
        self._retry_at = 0.0
        self._failure: str | None = None
        self._ended = False

    @property
    def seconds(self) -> float:
        return self._projection.seconds if self._projection else 0.0

    @property
    def complete(self) -> bool:
        """Whether the thread ended, and the store has everything."""
        return self._ended and self._failure is None

    def start(self) -> None:
        self._thread.start()

    def put(self, item: Change | None) -> None:
        self._queue.put(item)

    def mark(self) -> threading.Event:
        """An event that is set once everything so far is worked off."""
        event = threading.Event()
        self._queue.put(event)
        return event

    def join(self, timeout_s: float) -> None:
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        self._publish([])
        closing = False
        while not closing:
            items = self._waiting()
            changes = [item for item in items if isinstance(item, tuple)]
            closing = None in items
            if changes:
                self._publish(changes)
                self._tidy(changes[-1])
            for item in items:
                if isinstance(item, threading.Event):
                    item.set()
        self._close()
        self._ended = True

    def _waiting(self) -> list[Change | threading.Event | None]:
        """Everything that is in the queue, at least one."""
        items = [self._queue.get()]
        while True:
            try:
                items.append(self._queue.get_nowait())
            except queue.Empty:
                return items

    def _publish(self, changes: Sequence[Change]) -> None:
        try:
            if self._projection is None:
                self._unseen += [record for _, record in changes]
                self._open()
            else:
                self._projection.apply_all(changes)
        except Exception as error:
            self._fail(error)
        else:
            self._failure = self._projection.problem if self._projection else self._failure

    def _open(self) -> None:
        """Open the store if it is time to try, and bring it up to date."""
        if time.monotonic() < self._retry_at:
            return
        self._retry_at = time.monotonic() + RETRY_S
        projection = self._make()
        projection.catch_up(self._unseen)
        self._projection = projection
        self._unseen.clear()

    def _fail(self, error: Exception) -> None:
        """Warn of what does not answer in a line, and of what should not happen with all there is to know."""
        if self._failure is not None:
            return
        self._failure = str(error) or type(error).__name__
        expected = isinstance(error, OSError)
        _log.warning(
            "%s cannot be written; the sweep goes on, and a resume of it catches up: %s",
            self._name,
            self._failure,
            exc_info=None if expected else error,
        )

    def _tidy(self, change: Change) -> None:
        try:
            self._worked_off(self._name, change)
        except LedgerClosed:  # the run ended first: a resume removes what is left
            pass
        except Exception:
            _log.exception("superfluous files could not be removed at journal record %d", change[1].sequence)

    def _close(self) -> None:
        self._retry_at = 0.0
        self._publish([])  # the last chance for what could not be sent
        if self._projection is None:
            return
        try:
            self._projection.close()
        except Exception as error:
            self._fail(error)
        else:
            self._failure = self._projection.problem


class _Nowhere:
    """The projection of a sweep that has none."""

    seconds = 0.0
    problem: str | None = None

    def catch_up(self, records: Sequence[Record]) -> None:
        """Nothing to do."""

    def apply_all(self, changes: Sequence[Change]) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


class Housekeeping:
    """Removes the files of trials that ended outside the best ``keep``."""

    def __init__(self, ledger: Ledger, files: SweepFiles, keep: int) -> None:
        self._ledger = ledger
        self._files = files
        self._keep = keep

    def __call__(self, state: SweepState) -> None:
        """Record and remove what ``state`` no longer needs."""
        for trial in superfluous(state, self._keep):
            with self._ledger.changed:
                if not self._ledger.state.trials[trial.number].has_files:
                    continue
                self._ledger.record(FilesRemoved(trial.number))
            self._files.trial(trial.number).remove()


def superfluous(state: SweepState, keep: int) -> tuple[Trial, ...]:
    """The final trials that still have files and are not among the best ``keep`` complete ones."""
    complete = sorted(state.in_state(TrialState.COMPLETE), key=lambda trial: -(trial.final_score or 0.0))
    kept = {trial.number for trial in complete[:keep]}
    return tuple(
        trial
        for trial in state.trials.values()
        if trial.state.is_final and trial.has_files and trial.number not in kept
    )
