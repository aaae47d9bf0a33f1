"""The ledger: the one place where a running sweep's state changes.

An event is checked against the state machine, made durable in the journal, folded into the state and only then
told to the observers (MLflow, the live view). Whoever waits for a change waits on `changed`.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from sweep.lifecycle import Event, Record, SweepState, fold, replay


class LedgerClosed(Exception):
    """The run is over; nothing can happen to the sweep any more until it is resumed."""


Observer = Callable[[SweepState, Record], None]


class JournalPort(Protocol):
    """Where a ledger's events are kept; `sweep.lifecycle.Journal` is one."""

    @property
    def records(self) -> tuple[Record, ...]:
        """What was kept before."""

    def append(self, event: Event) -> Record:
        """Keep ``event`` durably."""


class Ledger:
    """State and journal of a running sweep, shared by its threads; hold `changed` to decide and record."""

    def __init__(self, journal: JournalPort, observers: Sequence[Observer]) -> None:
        self.changed = threading.Condition(threading.RLock())
        self._journal = journal
        self._observers = tuple(observers)
        self._closed = False
        self._state = replay((record.time, record.event) for record in journal.records)

    @property
    def state(self) -> SweepState:
        """The state now; an immutable snapshot."""
        return self._state

    def record(self, event: Event) -> SweepState:
        """Make ``event`` happen.

        Raises:
            IllegalEvent: it cannot happen now; nothing was written.
            LedgerClosed: the run is over.
            OSError: it could not be made durable; it did not happen.
        """
        with self.changed:
            if self._closed:
                raise LedgerClosed(f"{type(event).__name__} came after the end of the run")
            fold(self._state, event, time.time())
            record = self._journal.append(event)
            self._state = fold(self._state, record.event, record.time)
            for observe in self._observers:
                observe(self._state, record)
            self.changed.notify_all()
            return self._state

    def close(self) -> None:
        """Refuse all further events."""
        with self.changed:
            self._closed = True
            self.changed.notify_all()
